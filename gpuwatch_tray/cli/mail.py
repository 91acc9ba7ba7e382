"""`mail`: the outbox, its delivery, the credentials, and the test of the way to the server."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.bootstrap import UsageError
from gpuwatch_tray.app.control import operate
from gpuwatch_tray.cli import credentials
from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.units import local_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gpuwatch_tray.app.bootstrap import RunContext
    from gpuwatch_tray.cli.base import CommandGroup


def print_queue(context: RunContext, args: argparse.Namespace) -> int:
    """Print every mail that has not left, when it is tried next, and why it has not."""
    answer = operate(context, {"do": "mail queue"})
    print(json.dumps(answer, indent=2) if args.json else "\n".join(_mail_lines(answer["mails"])))
    return 0


def retry_mails(context: RunContext, args: argparse.Namespace) -> int:
    """Have these mails sent now, those that were given up too."""
    count = operate(context, {"do": "mail retry", "ids": _parse_ids(args.ids)})["count"]
    print(ngettext("{count} mail is due now", "{count} mails are due now", count).format(count=count))
    return 0


def drop_mails(context: RunContext, args: argparse.Namespace) -> int:
    """Never send these mails."""
    count = operate(context, {"do": "mail drop", "ids": _parse_ids(args.ids)})["count"]
    print(ngettext("{count} mail dropped", "{count} mails dropped", count).format(count=count))
    return 0


def _parse_ids(names: Sequence[str]) -> list[int]:
    """Parse the numbers; an empty list stands for all mails."""
    if list(names) == ["all"]:
        return []
    try:
        return [int(name) for name in names]
    except ValueError:
        raise UsageError(
            _("a mail's number is expected, or `all`: `gpuwatch-tray mail queue` lists them")
        ) from None


def _mail_lines(mails: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not mails:
        yield _("no mail waits")
    for mail in mails:
        yield f"{mail['id']:>5}  {local_time(mail['created'])}  {mail['subject']}"
        yield f"       {_mail_state(mail)}"
        if mail["error"]:
            yield f"       {redact.visible(mail['error'])}"


def _mail_state(mail: Mapping[str, Any]) -> str:
    if mail["state"] == "held":
        return _("over the cap of mails an hour: waits for one digest")
    if mail["state"] == "dead":
        return _(
            "given up: `gpuwatch-tray mail retry {id}` sends it again, `mail drop {id}` drops it"
        ).format(id=mail["id"])
    when = local_time(mail["next_at"])
    if mail["state"] == "blocked":
        return _("waits for somebody to mend what follows; tried again at {when}").format(when=when)
    if not mail["attempts"]:
        return _("about to be sent")
    return ngettext(
        "tried once, again at {when}", "tried {count} times, again at {when}", mail["attempts"]
    ).format(count=mail["attempts"], when=when)


def try_transport(context: RunContext, _args: argparse.Namespace) -> int:
    """
    Try the way of the mail up to the login, and send nothing.

    Prints each step with `ok` or `failed` and what mends it; returns 0 when the whole way is open, else 1.
    """
    from gpuwatch_tray.app.deliver import refuse_demo
    from gpuwatch_tray.notify.email import create_transport, secrets
    from gpuwatch_tray.notify.transport import TransportError

    refuse_demo(context)
    context.require_valid_settings()
    if not context.settings.to_email:
        raise UsageError(context.settings.no_recipient)

    def report(step: str) -> None:
        print(f"{_('ok')}      {step}", flush=True)

    smtp = context.settings.smtp
    try:
        transport = create_transport(context.settings)
        report(_("the mail goes by {way}").format(way=transport.name))
        source = secrets.password_source(smtp) if smtp is not None else ""
        if source and transport.name.startswith("SMTP "):
            report(_("the password is in {place}").format(place=source))
        transport.probe(report)
    except TransportError as error:
        print(f"{_('failed')}  {error.text}", flush=True)
        if error.mend:
            print(f"        {error.mend}", flush=True)
        return 1
    print(_("The way is open; nothing was sent. `gpuwatch-tray check --test-mail` sends a mail."))
    return 0


def deliver_mail(context: RunContext, args: argparse.Namespace) -> int:
    """Send what is due."""
    from gpuwatch_tray.app import deliver

    return deliver.deliver(context, handed=args.handed)


def add_commands(commands: CommandGroup) -> None:
    """Add `mail` and its tasks."""
    _parser, tasks = commands.group(
        "mail", _("what waits to be sent, and the ways out"), "mail queue", "mail login", "mail test"
    )
    queue = tasks.command(
        "queue", print_queue, _("each mail that has not left, and why"), "mail queue --json"
    )
    queue.add_argument("--json", action="store_true", help=_("as JSON"))
    for name, body, summary in (
        ("retry", retry_mails, _("have mails sent now, those that were given up too")),
        ("drop", drop_mails, _("never send these mails")),
    ):
        task = tasks.command(name, body, summary, f"mail {name} 7", f"mail {name} all")
        task.add_argument("ids", nargs="+", metavar="ID", help=_("its number in `mail queue`, or `all`"))
    parser = tasks.command(
        "deliver", deliver_mail, _("send what waits in the outbox and is due"), "mail deliver --verbose"
    )
    parser.add_argument("--handed", action="store_true", help=argparse.SUPPRESS)  # by the tray's child
    credentials.add_tasks(tasks)
    tasks.command("test", try_transport, _("try the way of the mail, and send nothing"), "mail test")
