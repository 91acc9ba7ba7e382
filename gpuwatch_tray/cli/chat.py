"""`chat` and `outbox`: a trial message to a chat, the delivery to one, and what waits on every channel."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.context import lab_context
from gpuwatch_tray.app.control import operate
from gpuwatch_tray.cli.base import add_json
from gpuwatch_tray.cli.mail import change_outbox, lab_outbox, outbox_lines, retry_rows
from gpuwatch_tray.cli.printing import show, warn
from gpuwatch_tray.common.lab_numbers import with_lab_numbers
from gpuwatch_tray.common.text import pad_to_width
from gpuwatch_tray.i18n import _, ngettext

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.cli.base import CommandGroup


RESULT_INDENT = 8  # columns before what `chat test` says of a chat


def try_chats(context: RunContext, args: argparse.Namespace) -> int:
    """Send a trial message to each chat, or to the one that is named; 0 when all have taken it."""
    from gpuwatch_tray.app.deliver_chat import find_chats, refuse_demo, send_trial
    from gpuwatch_tray.notify.transport import TransportError

    refuse_demo(context)
    context.require_valid_settings()
    warn(context)
    failed = False
    for chat in find_chats(context, args.name):
        try:
            answer = send_trial(context, chat)
        except TransportError as error:
            failed = True
            result, text = _("failed"), f"{chat.name}: {error.text}"
            if error.mend and not error.mend.startswith("`gpuwatch-tray chat test"):  # this very command
                text += f"\n{' ' * RESULT_INDENT}{error.mend}"
        else:
            result, text = _("ok"), _("{name}: {place} has taken it ({answer})")
            text = text.format(name=chat.name, place=chat.place, answer=answer)
        show(pad_to_width(result, RESULT_INDENT) + text, hang=RESULT_INDENT)
    return 1 if failed else 0


def deliver(context: RunContext, args: argparse.Namespace) -> int:
    """Send what is due for one chat."""
    from gpuwatch_tray.app.deliver_chat import deliver_chat

    of_lab = lab_context(context) if args.lab else context
    return 0 if of_lab is None else deliver_chat(of_lab, args.name, handed=args.handed)


def print_outbox(context: RunContext, args: argparse.Namespace) -> int:
    """Print every mail and message that has not left, when it is tried next, and why it has not."""
    answer = operate(context, {"do": "outbox"})
    answer["lab"] = lab_outbox(context, "outbox")["messages"]
    if args.json:
        print(json.dumps(answer, indent=2))
    else:
        rows = [*answer["messages"], *with_lab_numbers(answer["lab"])]
        print("\n".join(_lines(rows, [chat.name for chat in context.settings.chats])))
    return 0


def _lines(messages: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[str]:
    if not messages:
        yield _("nothing waits")
    for message in messages:
        yield from outbox_lines(message, _channel(message))
        if message["chat"] and message["chat"] not in names:
            yield "       " + _("this chat is not set up any more")


def _channel(message: Mapping[str, Any]) -> str:
    if not message["chat"]:
        return _("email")
    return _("chat {name}").format(name=message["chat"])


def retry_messages(context: RunContext, args: argparse.Namespace) -> int:
    """Have these sent now, those that were given up too."""
    return retry_rows(
        context,
        "outbox retry",
        args.ids,
        lambda count: ngettext("{count} message is due now", "{count} messages are due now", count),
    )


def drop_messages(context: RunContext, args: argparse.Namespace) -> int:
    """Never send these."""
    count = change_outbox(context, "outbox drop", args.ids, [])
    print(ngettext("{count} message dropped", "{count} messages dropped", count).format(count=count))
    return 0


def add_commands(commands: CommandGroup) -> None:
    """Add `chat` and `outbox` with their tasks."""
    _parser, tasks = commands.group("chat", _("test the chats and phones that are told"), "chat test")
    test = tasks.command("test", try_chats, _("send a test message"), "chat test", "chat test phone")
    test.add_argument("name", nargs="?", metavar="NAME", help=_("the chat's name (default: every chat)"))
    send = tasks.command(
        "deliver", deliver, _("send the queued messages that are due for one chat"), "chat deliver phone"
    )
    send.add_argument("name", metavar="NAME", help=_("the chat's name"))
    send.add_argument("--lab", action="store_true", help=_("those about the lab"))
    send.add_argument("--handed", action="store_true", help=argparse.SUPPRESS)  # by the tray's child
    listing, tasks = commands.group(
        "outbox",
        _("show queued mails and messages; send or drop them"),
        "outbox",
        "outbox retry 7",
        body=print_outbox,
    )
    add_json(listing)
    listed = tasks.command("list", print_outbox, _("what waits on every channel (default)"), "outbox list")
    add_json(listed, again=True)
    for name, body, summary in (
        ("retry", retry_messages, _("send queued messages now, including those given up")),
        ("drop", drop_messages, _("drop queued messages without sending them")),
    ):
        task = tasks.command(name, body, summary, f"outbox {name} 7", f"outbox {name} all")
        task.add_argument("ids", nargs="+", metavar="ID", help=_("the number that `outbox` shows, or `all`"))
