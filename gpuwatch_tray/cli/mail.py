"""`mail`: the outbox, its delivery, the credentials, and the test of the way to the server."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.bootstrap import open_store
from gpuwatch_tray.app.context import UsageError, WorkError, lab_context
from gpuwatch_tray.app.control import OPERATIONS, NoSuchMailError, operate
from gpuwatch_tray.cli.base import add_json, tcp_port
from gpuwatch_tray.cli.password import add_delete, change_password
from gpuwatch_tray.cli.printing import show, warn
from gpuwatch_tray.common import redact
from gpuwatch_tray.common.lab_numbers import lab_number, with_lab_numbers
from gpuwatch_tray.common.text import pad_to_width
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model.units import TO_THE_MINUTE, local_time
from gpuwatch_tray.settings import SmtpSecurity, read_password

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.settings import SmtpSettings
    from gpuwatch_tray.store import Store


STEP_INDENT = 8  # columns before what a step of `mail test` says


def print_queue(context: RunContext, args: argparse.Namespace) -> int:
    """Print every mail that has not left, when it is tried next, and why it has not."""
    answer = operate(context, {"do": "mail queue"})
    answer["lab"] = lab_outbox(context, "mail queue")["mails"]
    lines = _mail_lines([*answer["mails"], *with_lab_numbers(answer["lab"])])
    print(json.dumps(answer, indent=2) if args.json else "\n".join(lines))
    return 0


def lab_outbox(context: RunContext, do: str) -> dict[str, list[dict[str, Any]]]:
    """Return the lab's answer to `mail queue` or `outbox`; empty lists where there is no lab."""
    lab = lab_context(context)
    if lab is None:
        return {"mails": [], "messages": []}
    with closing(open_store(lab)) as store:
        return _on_lab_outbox(store, do)


def _on_lab_outbox(store: Store, do: str, ids: Sequence[int] = ()) -> dict[str, Any]:
    """Do it on the lab's outbox, which the running program reads by itself. Raises WorkError."""
    try:
        return OPERATIONS[do](store, {"do": do, "ids": list(ids)}, None)
    except NoSuchMailError as error:
        raise WorkError(str(error)) from error


def change_outbox(context: RunContext, do: str, names: Sequence[str], failures: list[str]) -> int:
    """Do it with these rows, those about the lab (`L3`) in their own outbox; how many it was."""
    from gpuwatch_tray.app.deliver import deliver_now

    def send(of: RunContext, store: Store) -> None:
        if do in {"mail retry", "outbox retry"}:  # where nothing runs that would send them, this command does
            failures.extend(deliver_now(of, store))

    every = list(names) == ["all"]
    of_lab = list(filter(None, map(lab_number, names)))
    here = [name for name in names if lab_number(name) is None]
    lab, count = lab_context(context), 0
    if of_lab and lab is None:
        raise UsageError(_("there is no lab: lab.env names none"))
    if here:
        request = {"do": do, "ids": parse_ids(here)}
        count += int(operate(context, request, lambda store: send(context, store))["count"])
    if lab is not None and (of_lab or every):
        with closing(open_store(lab)) as store:
            count += int(_on_lab_outbox(store, do, [] if every else parse_ids(of_lab))["count"])
            send(lab, store)
    return count


def retry_mails(context: RunContext, args: argparse.Namespace) -> int:
    """Have these mails sent now, those that were given up too."""
    return retry_rows(
        context,
        "mail retry",
        args.ids,
        lambda count: ngettext("{count} mail is due now", "{count} mails are due now", count),
    )


def retry_rows(context: RunContext, do: str, names: Sequence[str], said: Callable[[int], str]) -> int:
    """Have these rows sent now, and say how many; WorkError names what could not be sent."""
    failures: list[str] = []
    count = change_outbox(context, do, names, failures)
    print(said(count).format(count=count))
    if failures:
        raise WorkError("\n".join(failures))
    return 0


def drop_mails(context: RunContext, args: argparse.Namespace) -> int:
    """Never send these mails."""
    count = change_outbox(context, "mail drop", args.ids, [])
    print(ngettext("{count} mail dropped", "{count} mails dropped", count).format(count=count))
    return 0


def parse_ids(names: Sequence[str]) -> list[int]:
    """Parse the numbers; an empty list stands for all mails."""
    if list(names) == ["all"]:
        return []
    try:
        return [int(name) for name in names]
    except ValueError:
        raise UsageError(
            _("expected a mail's number or `all`: `gpuwatch-tray mail queue` lists them")
        ) from None


def _mail_lines(mails: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not mails:
        yield _("no queued mails")
    for mail in mails:
        yield from outbox_lines(mail)


def outbox_lines(mail: Mapping[str, Any], channel: str = "") -> Iterator[str]:
    """Yield the lines of a mail or message of the outbox, with the `channel` where there are several."""
    channel = f"{channel}  " if channel else ""
    yield f"{mail['id']:>5}  {local_time(mail['created'])}  {channel}{mail['subject']}"
    yield f"       {_mail_state(mail, whole=bool(channel))}"
    if mail["error"]:
        yield f"       {redact.visible(mail['error'])}"


def _mail_state(mail: Mapping[str, Any], *, whole: bool) -> str:
    if mail["state"] == "held":
        return _("over the hourly limit: will be sent in a digest")
    if mail["state"] == "dead":
        text = _("given up: `gpuwatch-tray mail retry {id}` sends it again, `mail drop {id}` deletes it")
        if whole:
            text = _(
                "given up: `gpuwatch-tray outbox retry {id}` sends it again, `outbox drop {id}` deletes it"
            )
        return text.format(id=mail["id"])
    when = local_time(mail["next_at"])
    if mail["state"] == "blocked":
        return _("waiting for the fix below; next try at {when}").format(when=when)
    if not mail["attempts"]:
        return _("about to be sent")
    count = mail["attempts"]
    text = ngettext("tried once, next try at {when}", "tried {count} times, next try at {when}", count)
    return text.format(count=count, when=when)


def try_transport(context: RunContext, _args: argparse.Namespace) -> int:
    """Try the way of the mail up to its recipients, step by step, and send nothing; 0 when it is open."""
    from gpuwatch_tray.app.deliver import refuse_demo
    from gpuwatch_tray.notify.email import create_transport, secrets
    from gpuwatch_tray.notify.transport import TransportError

    refuse_demo(context)
    context.require_recipient()
    warn(context)

    def report(step: str) -> None:
        show(pad_to_width(_("ok"), STEP_INDENT) + step, hang=STEP_INDENT)

    smtp = context.settings.smtp
    try:
        transport = create_transport(context.settings)
        report(_("the mail is sent by {way}").format(way=transport.name))
        source = secrets.password_source(smtp) if smtp is not None else ""
        if source and transport.name.startswith("SMTP "):
            report(_("the password is in {place}").format(place=source))
        transport.probe(report)
    except TransportError as error:
        show(pad_to_width(_("failed"), STEP_INDENT) + error.text, hang=STEP_INDENT)
        if error.mend:
            show(" " * STEP_INDENT + error.mend)
        return 1
    show(_("The connection works; nothing was sent. `gpuwatch-tray check --test-mail` sends a mail."))
    return 0


def deliver_mail(context: RunContext, args: argparse.Namespace) -> int:
    """Send what is due."""
    from gpuwatch_tray.app import deliver

    of_lab = lab_context(context) if args.lab else context
    return 0 if of_lab is None else deliver.deliver(of_lab, handed=args.handed)


def run_password(context: RunContext, args: argparse.Namespace) -> int:
    """Store the mail server's password in the keyring, or delete it there; mails that waited are then due."""
    smtp = _smtp_settings(context)
    from gpuwatch_tray.notify.email.secrets import smtp_entry

    change_password(smtp_entry(smtp), read_password, delete=args.delete)
    if args.delete:
        return 0
    before = "SMTP_PASS" if smtp.password.reveal() else "SMTP_PASS_FILE"
    if smtp.password.reveal() or smtp.password_file is not None:
        print(_("It is not used yet because {key} is set: remove {key} from smtp.env.").format(key=before))
    with closing(open_store(context)) as outbox:
        outbox.make_mails_due(time.time())
    return 0


def _smtp_settings(context: RunContext) -> SmtpSettings:
    from gpuwatch_tray.app.deliver import refuse_demo

    refuse_demo(context)
    context.require_valid_settings()
    smtp = context.settings.smtp
    if smtp is None:
        raise UsageError(_("no mail server is set up: set SMTP_HOST and SMTP_USER in smtp.env first"))
    if smtp.security is SmtpSecurity.NONE:
        raise UsageError(_("SMTP_SECURITY=none sends without a login: no password is needed"))
    return smtp


def run_login(context: RunContext, args: argparse.Namespace) -> int:
    """Sign in to Gmail, print how the sign-in stands, or withdraw it."""
    if args.status:
        return _print_login_status(context)
    return _revoke_login(context) if args.revoke else _sign_in(context, port=args.port)


def _sign_in(context: RunContext, *, port: int | None) -> int:
    """Sign in to Gmail, by a browser or an address pasted here; mails that waited for it are then due."""
    from gpuwatch_tray.app.deliver import refuse_demo

    refuse_demo(context)
    context.require_valid_settings()
    from gpuwatch_tray.notify.email.oauth import PORT, browser_is_here, sign_in
    from gpuwatch_tray.notify.transport import FailureKind, TransportError

    terminal = sys.stdin is not None and sys.stdin.isatty()
    try:
        token = sign_in(
            context.settings,
            port=PORT if port is None else port,
            open_browser=browser_is_here(os.environ),
            out=sys.stdout,
            pasted=sys.stdin.fileno() if terminal else None,
        )
    except TransportError as error:
        wrong = error.kind is FailureKind.CONFIGURATION
        raise (UsageError if wrong else WorkError)(str(error)) from error
    print(_("Signed in; the token is in {file}.").format(file=token), flush=True)
    with closing(open_store(context)) as store:
        store.make_mails_due(time.time())
    return 0


def _print_login_status(context: RunContext) -> int:
    """Print from token.json alone how the sign-in stands; raises WorkError where there is none."""
    from gpuwatch_tray.notify.email import google_credentials
    from gpuwatch_tray.notify.transport import TransportError

    path = _token_file(context)
    try:
        token = google_credentials.read_token(path)
    except TransportError as error:
        raise WorkError(_("Not signed in: {why}").format(why=error)) from error
    print(_("Signed in: {file}").format(file=path))
    scopes = google_credentials.token_scopes(token)
    print(_("Allows: {scopes}").format(scopes=", ".join(scopes) or _("the file does not say")))
    print(_expiry_text(google_credentials.token_expiry(token), datetime.now(UTC)))
    print(_("`gpuwatch-tray mail test` checks whether Google still accepts it."))
    return 0


def _revoke_login(context: RunContext) -> int:
    """Withdraw the sign-in at Google, and delete token.json."""
    from gpuwatch_tray.notify.email.oauth import revoke_sign_in
    from gpuwatch_tray.notify.transport import TransportError

    path = _token_file(context)
    try:
        known = revoke_sign_in(path)
    except TransportError as error:
        raise WorkError(str(error)) from error
    withdrawn = _("Signed out; {file} is deleted.")
    ended = _("Google had already ended the sign-in; {file} is deleted.")
    print((withdrawn if known else ended).format(file=path))
    return 0


def _token_file(context: RunContext) -> Path:
    context.require_valid_settings()
    path = context.settings.gmail_token
    if path is None:
        raise UsageError(_("GMAIL_API_TOKEN is not set: set it in notify.env to the path for token.json"))
    return path


def _expiry_text(expiry: datetime | None, now: datetime) -> str:
    """Describe the access token, which lives for an hour."""
    if expiry is None:
        return _("Access token: will be renewed at the next mail")
    at = expiry.astimezone().strftime(TO_THE_MINUTE)
    if expiry <= now:
        return _("Access token: expired on {time}, will be renewed at the next mail").format(time=at)
    return _("Access token: valid until {time}, renewed automatically").format(time=at)


def add_commands(commands: CommandGroup) -> None:
    """Add `mail` and its tasks."""
    _parser, tasks = commands.group(
        "mail",
        _("show queued mails, sign in to Gmail, test the connection"),
        "mail queue",
        "mail login",
        "mail test",
    )
    queue = tasks.command(
        "queue", print_queue, _("list queued mails, and why each was not sent yet"), "mail queue --json"
    )
    add_json(queue)
    for name, body, summary in (
        ("retry", retry_mails, _("send queued mails now, including those given up")),
        ("drop", drop_mails, _("drop queued mails without sending them")),
    ):
        task = tasks.command(name, body, summary, f"mail {name} 7", f"mail {name} all")
        task.add_argument(
            "ids", nargs="+", metavar="ID", help=_("the number that `mail queue` shows, or `all`")
        )
    parser = tasks.command(
        "deliver", deliver_mail, _("send the queued mails that are due"), "mail deliver --verbose"
    )
    parser.add_argument("--handed", action="store_true", help=argparse.SUPPRESS)  # by the tray's child
    parser.add_argument("--lab", action="store_true", help=_("those about the lab"))
    login = tasks.command(
        "login", run_login, _("sign in to Gmail"), "mail login", "mail login --status", aliases=["auth"]
    )
    action = login.add_mutually_exclusive_group()
    action.add_argument(
        "--status", action="store_true", help=_("show whether you are signed in, without using the network")
    )
    action.add_argument(
        "--revoke", action="store_true", help=_("sign out: revoke access at Google and delete token.json")
    )
    action.add_argument(
        "--port", type=tcp_port, default=None, help=_("local port for the browser's answer (default 8765)")
    )
    password = tasks.command(
        "password",
        run_password,
        _("store the mail server's password in the keyring"),
        "mail password",
    )
    add_delete(password)
    tasks.command("test", try_transport, _("test the mail connection; send nothing"), "mail test")
