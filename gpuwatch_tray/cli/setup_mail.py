"""`setup mail`: asks for address, server and password in the terminal, tries them, and sends a test mail."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from gpuwatch_tray import settings
from gpuwatch_tray.app.bootstrap import write_missing_settings
from gpuwatch_tray.app.context import UsageError, WorkError, with_settings
from gpuwatch_tray.cli.check import send_test_mail
from gpuwatch_tray.cli.mail import run_login, try_transport
from gpuwatch_tray.cli.printing import show
from gpuwatch_tray.common import host
from gpuwatch_tray.common.private import write_private
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model import schema
from gpuwatch_tray.settings import Secret, SmtpSecurity, SmtpSettings, odd_characters, read_password, template
from gpuwatch_tray.settings.editor import EditError, change_file
from gpuwatch_tray.settings.known_servers import known_server
from gpuwatch_tray.settings.validators import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.model.schema import Setting


WATCH, NOTIFY, SMTP = range(3)  # the files, in the order of `template.files`
PASSWORD_FILE = "smtp-password"  # noqa: S105  # its name
GMAIL_FILES = ("credentials.json", "token.json")
GMAIL_STEPS = N_(
    "Download credentials.json at https://console.cloud.google.com/apis/credentials; "
    "docs/gmail.md shows each step."
)


def set_up_mail(context: RunContext, _args: argparse.Namespace) -> int:
    """Ask for all that mail needs, write it into the settings, and prove it by a test mail."""
    if context.simulated:
        raise UsageError(_("a demo sends no mail: leave out --demo"))
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(_("`setup mail` asks questions: run it in a terminal"))
    context.require_valid_settings()
    write_missing_settings()
    show(_("Three questions, then a test mail. Enter accepts the value in brackets; Ctrl-C stops."))
    try:
        return _Dialogue(context).run()
    except (KeyboardInterrupt, EOFError):
        print()
        raise WorkError(_("stopped; `gpuwatch-tray setup mail` begins again")) from None
    except EditError as error:
        raise WorkError(str(error)) from error


class _Dialogue(Struct):
    context: RunContext
    files: list[Path] = field(default_factory=lambda: [place.path for place in template.files(os.environ)])

    def run(self) -> int:
        known = ", ".join(self.context.settings.to_email)
        address = _ask_address(known)
        self._change(WATCH, {schema.TO_EMAIL.key: address})
        account = parse(schema.TO_EMAIL, address)[0]  # of several, the one that sends
        server = known_server(account.rpartition("@")[2])
        ways: list[tuple[str, Callable[[], bool]]] = []
        if server is not None and server.refused:
            show(_(server.note))
        elif server is not None:
            text = _("with your password, by {host}").format(host=server.host)
            ways.append((text, lambda: self._smtp(account, server.host, server.port, _(server.note))))
        text = _("by another mail server (SMTP)") if ways else _("by a mail server (SMTP)")
        ways.append((text, lambda: self._smtp(account)))
        ways.append((_("by Gmail, signing in with the browser"), self._gmail))
        while not _choose(_("How is the mail sent?"), ways)():
            show(_("Nothing is lost: choose again, or stop with Ctrl-C."))
        self._reload()
        gaps = send_test_mail(self.context, now=host.now())
        show(_("Done. Check your inbox. A running tray uses the new settings at once."))
        for gap in gaps:  # the mail is set up all the same
            show(_("note: {text}").format(text=gap))
        return 0

    def _smtp(self, account: str, host: str = "", port: int = 0, note: str = "") -> bool:
        """Ask for the account, write it, and try it; False where the server does not take it."""
        now = self.context.settings.smtp
        if not host:
            host = _ask_value(_("Mail server"), schema.SMTP_HOST, now.host if now else "")
            usual = str(now.port if now and now.host == host else schema.SMTP_PORT.default)
            port = int(_ask_value(_("Port (587: STARTTLS, 465: TLS)"), schema.SMTP_PORT, usual))
        user = _ask_value(_("User name"), schema.SMTP_USER, account)
        if note:
            show(note)
        password = _ask_password()
        values = {
            schema.SMTP_HOST.key: host,
            schema.SMTP_PORT.key: str(port),
            schema.SMTP_USER.key: user,
            schema.SMTP_PASS.key: "",
            schema.SMTP_PASS_FILE.key: self._keep_password(SmtpSettings(host, port, user, password, user)),
        }
        if now is not None and now.security is SmtpSecurity.NONE:
            values[schema.SMTP_SECURITY.key] = SmtpSecurity.TLS.value
        self._change(SMTP, values)
        self._change(NOTIFY, {schema.NOTIFY_METHOD.key: settings.NotifyMethod.SMTP.value})
        return self._works()

    def _gmail(self) -> bool:
        folder = self.files[NOTIFY].parent
        now = (self.context.settings.gmail_credentials, self.context.settings.gmail_token)
        credentials, token = (str(path or folder / name) for path, name in zip(now, GMAIL_FILES, strict=True))
        if not Path(credentials).is_file():
            show(_(GMAIL_STEPS))
        credentials = _ask_value(_("File credentials.json"), schema.GMAIL_API_CREDENTIALS, credentials)
        if not Path(credentials).is_file():
            show(_("There is no file {file}.").format(file=credentials))
            return False
        values = {
            schema.GMAIL_API_CREDENTIALS.key: credentials,
            schema.GMAIL_API_TOKEN.key: token,
            schema.NOTIFY_METHOD.key: settings.NotifyMethod.GMAIL_API.value,
        }
        self._change(NOTIFY, values)
        self._reload()
        try:
            run_login(self.context, argparse.Namespace(status=False, revoke=False, port=None))
        except (WorkError, UsageError) as error:
            show(str(error))
            return False
        return self._works()

    def _keep_password(self, smtp: SmtpSettings) -> str:
        """Keep the password in the keyring, else in a file of mode 600; return the file, '' without one."""
        from gpuwatch_tray.notify.email.secrets import smtp_entry

        try:
            name = smtp_entry(smtp).store(smtp.password.reveal())
        except settings.SecretError:
            file = self.files[SMTP].resolve().with_name(PASSWORD_FILE)
            file.unlink(missing_ok=True)
            write_private(file, smtp.password.reveal() + "\n")
            show(
                _("There is no keyring here: the password is in {file}, which only you can read.").format(
                    file=file
                )
            )
            return str(file)
        show(_("The password is in the keyring ({name}).").format(name=name))
        return ""

    def _works(self) -> bool:
        self._reload()
        return try_transport(self.context, argparse.Namespace()) == 0

    def _change(self, file: int, values: Mapping[str, str]) -> None:
        change_file(self.files[file], values)

    def _reload(self) -> None:
        """Go by what is written by now; raises UsageError where a variable or another line contradicts."""
        self.context = with_settings(self.context, settings.load(os.environ))
        self.context.require_valid_settings()


def _choose(question: str, ways: list[tuple[str, Callable[[], bool]]]) -> Callable[[], bool]:
    print(question)
    for number, (text, _way) in enumerate(ways, 1):
        print(f"  {number}  {text}")
    while True:
        answer = input("[1] ").strip() or "1"
        if answer.isascii() and answer.isdecimal() and 0 < int(answer) <= len(ways):
            return ways[int(answer) - 1][1]
        show(_("a number from 1 to {most}").format(most=len(ways)))


def _ask_address(usual: str) -> str:
    while True:
        answer = _ask_value(_("Your email address"), schema.TO_EMAIL, usual)
        if answer == usual or all("@" in one for one in parse(schema.TO_EMAIL, answer)):
            return answer
        show(_("an address needs an @, as in name@example.org"))


def _ask_value(question: str, setting: Setting, usual: str) -> str:
    """Ask until the answer is a value of `setting`; Enter takes `usual`."""
    while True:
        answer = input(f"{question} [{usual}]: " if usual else f"{question}: ").strip() or usual
        try:
            value: Any = parse(setting, answer)
        except ValueError as error:
            show(str(error))
            continue
        if value:
            return answer


def _ask_password() -> Secret:
    while True:
        text = getpass.getpass(_("Password (it is not shown): "))
        try:
            secret = read_password(text)
        except ValueError as error:
            show(_("the password {why}").format(why=error))
            continue
        if not secret.reveal():
            continue
        if odd := odd_characters(secret):
            show(_("The password contains {what}: type it by hand instead of pasting it.").format(what=odd))
            continue
        return secret
