"""`setup chat`: asks for the address of a chat or phone in the terminal, tries it, and writes it."""

from __future__ import annotations

import getpass
import os
import re
import sys
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray import settings
from gpuwatch_tray.app.bootstrap import write_missing_settings
from gpuwatch_tray.app.context import UsageError, WorkError, with_settings
from gpuwatch_tray.cli.printing import show
from gpuwatch_tray.common.private import replace_private, write_private
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import schema
from gpuwatch_tray.settings import template
from gpuwatch_tray.settings.chat_addresses import NAME, apart, filters_of, parse_line
from gpuwatch_tray.settings.chat_services import KEYRING, scheme_of
from gpuwatch_tray.settings.editor import EditError, change_file

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.settings import ChatAddress


NOTIFY = 1  # notify.env, in the order of `template.files`
FILE = "chats"  # beside it
# What an address of the most used services looks like; docs/chat.md has the rest.
EXAMPLES = (
    ("ntfy", "ntfys://ntfy.sh/TOPIC"),
    ("Telegram", "tgram://TOKEN/CHAT"),
    ("Slack", "https://hooks.slack.com/services/..."),
    ("Discord", "https://discord.com/api/webhooks/..."),
    ("Microsoft Teams", "https://....logic.azure.com/workflows/..."),
    ("Matrix", "matrixs://USER:PASSWORD@SERVER/#ROOM"),
    ("WeChat Work", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=..."),
    ("DingTalk", "https://oapi.dingtalk.com/robot/send?access_token=..."),
    ("Feishu", "https://open.feishu.cn/open-apis/bot/v2/hook/..."),
    ("webhook", "webhook://SERVER/PATH?secret=SECRET"),
)


def set_up_chat(context: RunContext, _args: argparse.Namespace) -> int:
    """Ask for an address and a name, send a test message, and write both."""
    from gpuwatch_tray.app.deliver_chat import refuse_demo

    refuse_demo(context)
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(_("`setup chat` asks questions: run it in a terminal"))
    context.require_valid_settings()
    write_missing_settings()
    try:
        return _ask(context)
    except (KeyboardInterrupt, EOFError):
        print()
        raise WorkError(_("stopped; `gpuwatch-tray setup chat` begins again")) from None
    except (EditError, OSError) as error:
        raise WorkError(str(error)) from error


def _ask(context: RunContext) -> int:
    from gpuwatch_tray.app.deliver_chat import send_trial
    from gpuwatch_tray.notify.transport import TransportError

    show(_("An address, a name, then a test message. Ctrl-C stops. Addresses look like these:"))
    for service, example in EXAMPLES:
        print(f"  {service:<16}{example}")
    while True:
        line = getpass.getpass(_("Address (it is not shown): ")).strip()
        try:
            chat = apart(parse_line(line), context.settings.chats) if line else None
        except ValueError as error:
            show(str(error))
            continue
        if chat is None:
            continue
        chat = _named(chat, [other.name for other in context.settings.chats])
        try:
            answer = send_trial(context, chat)
        except TransportError as error:
            show(_("not sent: {why}").format(why=error.text))
            show(_("Nothing is lost: give the address again, or stop with Ctrl-C."))
            continue
        break
    show(_("{place} has taken the test message ({answer}).").format(place=chat.place, answer=answer))
    file = _write(context, chat)
    renewed = with_settings(context, settings.load(os.environ))
    renewed.require_valid_settings()
    show(_("Done: {name} is in {file}. A running tray uses it at once.").format(name=chat.name, file=file))
    return 0


def _named(chat: ChatAddress, taken: list[str]) -> ChatAddress:
    """Ask for a name that no other chat has."""
    usual = chat.name or re.sub(r"[^a-z0-9]+", "-", chat.service.lower())
    while True:
        name = input(_("Name") + f" [{usual}]: ").strip() or usual
        if NAME.fullmatch(name) is None:
            show(_("letters, digits, - and _, 32 at most"))
        elif name in taken:
            show(_("the name {name} is taken: give each chat its own").format(name=name))
        else:
            return replace(chat, route=replace(chat.route, name=name))


def _write(context: RunContext, chat: ChatAddress) -> Path:
    """Keep the address in the keyring, else in the file, which only the person can read; return the file."""
    from gpuwatch_tray.notify.chat.sender import chat_entry

    notify = template.files(os.environ)[NOTIFY].path
    file = context.settings.chats_file or notify.resolve().with_name(FILE)
    address = chat.url.reveal()
    try:
        keyring = chat_entry(chat.name).store(address)
        show(_("The address is in the keyring ({name}).").format(name=keyring))
        address = f"{KEYRING}:{scheme_of(address)}"
    except settings.SecretError:
        show(
            _("There is no keyring here: the address is in {file}, which only you can read.").format(
                file=file
            )
        )
    line = f"{chat.name} {address}{filters_of(chat)}\n"
    if file.exists():
        before = file.read_text("utf-8")
        replace_private(file, before + ("" if before.endswith("\n") or not before else "\n") + line)
    else:
        write_private(file, line)
    if context.settings.chats_file is None:
        change_file(notify, {schema.NOTIFY_URLS_FILE.key: str(file)})
    return file
