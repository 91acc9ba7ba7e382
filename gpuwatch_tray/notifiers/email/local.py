"""
Mail by the computer's own programs: `mail`, `mailx`, `sendmail -t`, the first that is there.

All of them only take the mail into their queue: their exit code 0 says nothing of its delivery.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.notifiers.email import mime
from gpuwatch_tray.notifiers.email.lines import LONGEST, neutral, one_line
from gpuwatch_tray.transport import FailureKind, Receipt, Report, TransportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import Message

TIMEOUT = 30.0  # seconds
MAILERS, SENDMAIL = ("mail", "mailx"), "sendmail"  # in the order of the Bash tool
# Where sendmail lives on systems that keep it off the PATH of users and of cron.
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/lib")
NO_USER = 67  # sysexits.h: EX_NOUSER

_TILDE = re.compile(r"^~", re.MULTILINE)


class LocalTransport:
    """
    The way by the local mail programs, looked for at each sending.

    `folders` overrules where they are looked for, by default PATH and then SYSTEM_FOLDERS.
    """

    name = "local mail"

    def __init__(
        self,
        to: Sequence[str],
        *,
        from_email: str = "",
        timeout: float = TIMEOUT,
        folders: Sequence[str] | None = None,
    ) -> None:
        self._to = to
        self._from = from_email
        self._timeout = timeout
        self._folders = folders

    def send(self, message: Message) -> Receipt:
        """Hand the mail to the first program found, in the order of the Bash tool."""
        recipients = mime.addresses(message.details.only or self._to, "TO_EMAIL")
        program, found = self._first()
        if program in MAILERS:
            # A line that begins with a tilde is a command to some of these programs (CVE-2021-32749).
            text = _TILDE.sub(" ~", neutral(message.text)).rstrip()
            arguments = [found, "-s", mime.one_subject(message.subject), *recipients]
            return self._run(program, program, arguments, f"{text}\n".encode())
        sender = mime.address(self._from, "FROM_EMAIL") if self._from else ""
        mail = mime.build(message, sender=sender, recipients=recipients)
        utf8 = mime.international((sender, *recipients))
        body = mime.as_bytes(mail, utf8=utf8, line_end="\n")
        # -oi: a line with a single dot does not end the mail.
        return self._run(_("sendmail (queued, not yet delivered)"), program, [found, "-t", "-oi"], body)

    def probe(self, report: Report) -> None:
        """Look for the program; whether it delivers shows only when it is used."""
        mime.addresses(self._to, "TO_EMAIL")
        program, found = self._first()
        report(
            _(
                "{program} is here: {file}; it queues a mail, and does not tell whether it was delivered"
            ).format(program=program, file=found)
        )

    def _first(self) -> tuple[str, str]:
        """The program that is taken, and where it is."""
        for program in (*MAILERS, SENDMAIL):
            found = self._find(program)
            if found is not None:
                return program, found
        raise TransportError(
            FailureKind.CONFIGURATION,
            _(
                "no way to send mail: neither SMTP nor Gmail is set up, and there is no mail, mailx"
                " or sendmail"
            ),
            _("set SMTP_HOST, SMTP_USER and SMTP_PASS in smtp.env"),
        )

    def _find(self, program: str) -> str | None:
        folders = self._folders
        if folders is None:
            folders = (os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS)
        return shutil.which(program, path=os.pathsep.join(folders))

    def _run(self, transport: str, program: str, arguments: Sequence[str], body: bytes) -> Receipt:
        # Files, not pipes: these programs leave children behind that hold a pipe open for minutes.
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as output:
            stdin.write(body)
            stdin.seek(0)
            try:
                code = subprocess.run(
                    arguments, stdin=stdin, stdout=output, stderr=output, timeout=self._timeout, check=False
                ).returncode
            except subprocess.TimeoutExpired:
                raise TransportError(
                    FailureKind.AMBIGUOUS,
                    _("{program} did not end within {seconds:g} s: the mail may have been taken").format(
                        program=program, seconds=self._timeout
                    ),
                    _("try it by hand: {program}").format(program=arguments[0]),
                ) from None
            except OSError as error:
                raise TransportError(
                    FailureKind.CONFIGURATION,
                    _("{program} cannot be run: {why}").format(program=arguments[0], why=error.strerror),
                    _("repair or remove it, or set up smtp.env"),
                ) from None
            output.seek(0)
            said = one_line(output.read(10_000).decode("utf-8", "replace"), LONGEST)
        if code != 0:
            raise TransportError(
                FailureKind.RECIPIENT if code == NO_USER else FailureKind.TRANSIENT,
                _("{program} failed with exit code {code}: {said}").format(
                    program=program, code=code, said=said or _("it said nothing")
                ),
            )
        return Receipt(
            transport, _("exit code 0: queued, not yet delivered") + (f" ({said})" if said else "")
        )
