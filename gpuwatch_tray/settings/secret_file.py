"""A file that holds one password or token and nothing else, and what is wrong with a secret."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import _

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gpuwatch_tray.settings.model import Secret

LONGEST_FILE = 4096  # bytes: a longer file is not the one that was meant


class SecretError(Exception):
    """A secret that cannot be had; its text is one line without it, `mend` says what to do about it."""

    def __init__(self, text: str, mend: str) -> None:
        super().__init__(text)
        self.text = text
        self.mend = mend

    def __str__(self) -> str:
        return _("{text} ({mend})").format(text=self.text, mend=self.mend)


def read_secret_file(key: str, file: Path, parse: Callable[[str], Secret]) -> Secret:
    """Return what `parse` makes of the file of the setting `key`; raises SecretError."""
    alone = _("it must contain only the password")
    names = {"key": key, "file": file}
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # reading a pipe would block
            raise SecretError(_("{key} {file} is not a plain file").format(**names), alone)
        with file.open("rb") as stream:
            content = stream.read(LONGEST_FILE + 1)
    except OSError as error:
        text = _("{key} {file} cannot be read: {why}").format(**names, why=error.strerror)
        raise SecretError(text, _("write the password into it, and chmod 600")) from None
    if len(content) > LONGEST_FILE or b"\n" in content.strip():
        raise SecretError(_("{key} {file} has more than one line").format(**names), alone)
    try:
        secret = parse(content.decode("utf-8-sig"))
    except ValueError as error:
        why = _("is not UTF-8") if isinstance(error, UnicodeDecodeError) else str(error)
        raise SecretError(_("{key} {file} {why}").format(**names, why=why), alone) from None
    if not secret.reveal():
        text = _("{key} {file} is empty").format(**names)
        raise SecretError(text, _("write the password into it"))
    return secret
