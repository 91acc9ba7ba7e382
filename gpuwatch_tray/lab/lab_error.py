"""A question to the lab that has no answer, and in which way it has none."""

from __future__ import annotations

from enum import Enum

from gpuwatch_tray.model import Problem


class LabFailure(Enum):
    """In which way a question failed: who asks decides by it, never by the text."""

    CONFIGURATION = "configuration"  # a file or a key of lab.env has to be changed
    UNREACHABLE = "unreachable"  # nobody answered, or not in time
    TLS = "tls"  # the certificate is not accepted
    LOGIN = "login"  # a login is asked for, or not accepted
    OTHER_PROGRAM = "other-program"  # what answers is not what was looked for
    BUSY = "busy"  # it answers that it cannot now
    QUERY = "query"  # it does not take this question, or its answer is too large


class LabError(Exception):
    """A question without an answer; its text is one line without secrets, `mend` says what to do about it."""

    def __init__(self, kind: LabFailure, text: str, mend: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.mend = mend

    @property
    def problem(self) -> Problem:
        """The same as a value."""
        return Problem(self.text, self.mend)
