"""`mail queue`, `mail retry` and `mail drop`: the outbox, through the running tray, else on the store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.bootstrap import UsageError, WorkError
from gpuwatch_tray.app.control_outbox import OUTBOX_OPERATIONS, NoSuchMailError
from gpuwatch_tray.common import redact
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.units import local_time

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from gpuwatch_tray.app.bootstrap import RunContext
    from gpuwatch_tray.cli.base import CommandGroup
    from gpuwatch_tray.store import Store


ALL_MAILS = "all"


def add_tasks(tasks: CommandGroup) -> None:
    """Add `mail queue`, `mail retry` and `mail drop`."""
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


def print_queue(context: RunContext, args: argparse.Namespace) -> int:
    """Print every mail that has not left, when it is tried next, and why it has not."""
    answer = _operate(context, {"do": "mail queue"})
    print(json.dumps(answer, indent=2) if args.json else "\n".join(_mail_lines(answer["mails"])))
    return 0


def retry_mails(context: RunContext, args: argparse.Namespace) -> int:
    """Have these mails sent now, those that were given up too."""
    count = _operate(context, {"do": "mail retry", "ids": _parse_ids(args.ids)})["count"]
    print(ngettext("{count} mail is due now", "{count} mails are due now", count).format(count=count))
    return 0


def drop_mails(context: RunContext, args: argparse.Namespace) -> int:
    """Never send these mails."""
    count = _operate(context, {"do": "mail drop", "ids": _parse_ids(args.ids)})["count"]
    print(ngettext("{count} mail dropped", "{count} mails dropped", count).format(count=count))
    return 0


def _parse_ids(names: Sequence[str]) -> list[int]:
    """Parse the numbers; an empty list stands for all mails."""
    if list(names) == [ALL_MAILS]:
        return []
    try:
        return [int(name) for name in names]
    except ValueError:
        raise UsageError(
            _("a mail's number is expected, or `all`: `gpuwatch-tray mail queue` lists them")
        ) from None


def _operate(context: RunContext, request: Mapping[str, Any]) -> dict[str, Any]:
    from gpuwatch_tray.app.tray_client import request_or_use_store

    def on_store(store: Store) -> dict[str, Any]:
        try:
            return OUTBOX_OPERATIONS[request["do"]](store, request)
        except NoSuchMailError as error:
            raise WorkError(str(error)) from error

    return request_or_use_store(context, request, on_store)


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
