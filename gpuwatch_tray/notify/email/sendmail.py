"""Mail by the first of `mail`, `mailx` and `sendmail -t` that is there; exit code 0 only means queued."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import _
from gpuwatch_tray.notify.email import mime
from gpuwatch_tray.notify.email.mime import LONGEST_ANSWER, escape_controls, one_line
from gpuwatch_tray.notify.transport import FailureKind, Receipt, TransportError, configuration_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuwatch_tray.model import Message
    from gpuwatch_tray.notify.transport import ReportStep


PROGRAM_TIMEOUT = 30.0  # seconds
MAILERS, SENDMAIL = ("mail", "mailx"), "sendmail"  # in the order of the Bash tool
# Where sendmail is on systems that keep it off the PATH of users and of cron.
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/lib")
NO_USER = 67  # sysexits.h: EX_NOUSER

_TILDE = re.compile(r"^~", re.MULTILINE)


class LocalTransport:
    """The transport by the local mail programs; `folders` overrides where they are looked for."""

    name = "local mail"

    def __init__(
        self,
        to: Sequence[str],
        *,
        from_email: str = "",
        timeout: float = PROGRAM_TIMEOUT,
        folders: Sequence[str] | None = None,
    ) -> None:
        self._to = to
        self._from = from_email
        self._timeout = timeout
        self._folders = folders

    def send(self, message: Message) -> Receipt:
        """Hand the mail to the first program found, in the order of the Bash tool."""
        recipients = mime.parse_addresses(message.details.only or self._to, "TO_EMAIL")
        program, path = self._find_first()
        if program in MAILERS:
            # A line that begins with a tilde is a command to some of these programs (CVE-2021-32749).
            text = _TILDE.sub(" ~", escape_controls(message.text)).rstrip()
            arguments = [path, "-s", mime.subject_line(message.subject), *recipients]
            return self._run(program, program, arguments, f"{text}\n".encode())
        sender = mime.parse_address(self._from, "FROM_EMAIL") if self._from else ""
        body = mime.build_mail(message, sender=sender, recipients=recipients, line_end="\n")
        # -oi: a line with a single dot does not end the mail.
        return self._run(_("sendmail (queued, not yet delivered)"), program, [path, "-t", "-oi"], body)

    def probe(self, report: ReportStep) -> None:
        """Look for the program; only use shows whether it delivers."""
        mime.parse_addresses(self._to, "TO_EMAIL")
        program, path = self._find_first()
        text = _("{program} found: {file}; it queues mails and does not say whether they were delivered")
        report(text.format(program=program, file=path))

    def _find_first(self) -> tuple[str, str]:
        """Return the name and the path of the first program found; TransportError without any."""
        folders = self._folders or (os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS)
        for program in (*MAILERS, SENDMAIL):
            path = shutil.which(program, path=os.pathsep.join(folders))
            if path is not None:
                return program, path
        text = _(
            "mail cannot be sent: neither SMTP nor Gmail is set up, and there is no mail, mailx or sendmail"
        )
        raise configuration_error(text, _("set SMTP_HOST, SMTP_USER and SMTP_PASS in smtp.env"))

    def _run(self, transport: str, program: str, arguments: Sequence[str], body: bytes) -> Receipt:
        # Files: these programs leave children behind that hold a pipe open for minutes.
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as output:
            stdin.write(body)
            stdin.seek(0)
            try:
                code = subprocess.run(
                    arguments, stdin=stdin, stdout=output, stderr=output, timeout=self._timeout, check=False
                ).returncode
            except subprocess.TimeoutExpired:
                text = _("{program} did not end within {seconds:g} s: the mail may have been accepted")
                text = text.format(program=program, seconds=self._timeout)
                mend = _("try it by hand: {program}").format(program=arguments[0])
                raise TransportError(FailureKind.AMBIGUOUS, text, mend) from None
            except OSError as error:
                text = _("{program} cannot be run: {why}")
                text = text.format(program=arguments[0], why=error.strerror)
                raise configuration_error(text, _("repair or remove it, or set up smtp.env")) from None
            output.seek(0)
            answer = one_line(output.read(10_000).decode("utf-8", "replace"), LONGEST_ANSWER)
        if code != 0:
            kind = FailureKind.RECIPIENT if code == NO_USER else FailureKind.TRANSIENT
            text, said = _("{program} failed with exit code {code}: {said}"), answer or _("no answer text")
            raise TransportError(kind, text.format(program=program, code=code, said=said))
        text = _("exit code 0: queued, not yet delivered")
        return Receipt(transport, f"{text} ({answer})" if answer else text)
