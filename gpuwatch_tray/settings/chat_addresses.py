"""
The file of NOTIFY_URLS_FILE: one chat or phone a line, as `NAME? ADDRESS FILTER...`.

An address is a secret as a whole. What is wrong with a line is said without it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec.structs import replace

from gpuwatch_tray.alerts import ChatRoute
from gpuwatch_tray.alerts.routing import REMINDERS
from gpuwatch_tray.i18n import _
from gpuwatch_tray.model import Severity, schema
from gpuwatch_tray.rules import RULES
from gpuwatch_tray.settings import paths
from gpuwatch_tray.settings.chat_services import (
    KEYRING,
    SERVICES,
    as_address,
    is_plain_http,
    masked_place,
    scheme_of,
)
from gpuwatch_tray.settings.model import ChatAddress, ConfigProblem, Secret

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


MOST_CHATS = 20  # each that is due is sent to by a process of its own
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_PLAIN = "plain"
_EXAMPLE = "ntfys://ntfy.sh/TOPIC"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def read_chats(
    file: Path,
) -> tuple[tuple[ChatAddress, ...], tuple[ConfigProblem, ...], tuple[str, ...]]:
    """Return the chats that the file names, what is wrong with it, and a warning where others may read it."""
    found = paths.read_file(file, str(file))
    key = schema.NOTIFY_URLS_FILE.key
    if found is None:
        text = _("there is no such file: `gpuwatch-tray setup chat` writes it")
        return (), (ConfigProblem(str(file), None, key, text),), ()
    try:
        text = found.data.decode("utf-8-sig")
        problem = found.problem
    except UnicodeDecodeError:
        text, problem = "", _("not UTF-8 text: save it as UTF-8")
    if problem:
        return (), (ConfigProblem(str(file), None, key, problem),), ()
    return *_parse_lines(text, str(file)), (paths.exposed_warning(key, file),) if found.exposed else ()


def _parse_lines(text: str, file: str) -> tuple[tuple[ChatAddress, ...], tuple[ConfigProblem, ...]]:
    chats: list[ChatAddress] = []
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            chat = replace(parse_line(line), line=number)
            chats.append(apart(_named(chat, [other.name for other in chats]), chats))
        except ValueError as error:
            problems.append(ConfigProblem(file, number, "", str(error)))
    if len(chats) > MOST_CHATS:
        text = _("more than {most} chats").format(most=MOST_CHATS)
        problems.append(ConfigProblem(file, chats[MOST_CHATS].line, "", text))
    return tuple(chats[:MOST_CHATS]), tuple(problems)


def _named(chat: ChatAddress, taken: list[str]) -> ChatAddress:
    """Give a chat without a name that of its service; raises ValueError where its own is taken."""
    name = chat.name
    if not name:
        name = re.sub(r"[^a-z0-9]+", "-", chat.service.lower())
        if name in taken:
            # A number would pass to another address, with what waits for it, when a line goes.
            text = _("a second chat on {service} needs a name before its address")
            raise ValueError(text.format(service=chat.service))
    elif name in taken:
        raise ValueError(_("the name {name} is taken: give each chat its own").format(name=name))
    return replace(chat, route=replace(chat.route, name=name))


def apart(chat: ChatAddress, others: Sequence[ChatAddress]) -> ChatAddress:
    """Return the chat; ValueError where another line would send the same to the same address."""
    for other in others:
        if chat.url.reveal() and chat.url == other.url:  # empty: it is in the keyring, by its name
            ours, theirs = chat.route.rules, other.route.rules
            if not ours or not theirs or ours & theirs:
                text = _("the same address as in line {number}: one line is enough")
                raise ValueError(text.format(number=other.line))
    return chat


def parse_line(line: str) -> ChatAddress:
    """Return the chat of a line, with an empty name where it has none; ValueError names no address."""
    name, address, filters = _words(line)
    in_keyring = address.startswith(f"{KEYRING}:") and "/" not in address
    scheme = address.removeprefix(f"{KEYRING}:") if in_keyring else scheme_of(address)
    service = SERVICES.get(scheme)
    if service is None:
        raise ValueError(_no_service(address))
    if in_keyring and not name:
        raise ValueError(_("an address in the keyring needs a name before it"))
    if not in_keyring and not urlsplit(address).netloc:
        raise ValueError(_("the address ends after {scheme}://").format(scheme=scheme))
    route, plain_text = ChatRoute(name), _PLAIN in filters
    for word in filters:
        if word != _PLAIN:
            route = _filtered(route, word)
    if not plain_text and not in_keyring and is_plain_http(address):
        text = _("{scheme}:// would go unencrypted: write {secure}://, or add the word plain to allow it")
        raise ValueError(text.format(scheme=scheme, secure=service.secure))
    place = service.title if in_keyring else masked_place(address, service)
    url = Secret("" if in_keyring else address)
    return ChatAddress(route, service.title, place, url, plain_text)


def _words(line: str) -> tuple[str, str, list[str]]:
    """Return the name of a line, empty for none, its address and its filters; ValueError names no address."""
    if _CONTROL.search(line):
        raise ValueError(_("contains a control character: write the line again"))
    words = line.split()
    has_name = ":" not in words[0]
    if has_name and (NAME.fullmatch(words[0]) is None or len(words) == 1):
        raise ValueError(
            _(
                "expected NAME ADDRESS, with a name of letters, digits, - and _,"
                " and an address such as {example}"
            ).format(example=_EXAMPLE)
        )
    address, *filters = words[has_name:]
    try:
        address = as_address(address)
        urlsplit(address).hostname  # noqa: B018  # raises for what is no address, and its text holds it
    except ValueError:
        raise ValueError(_no_address()) from None
    return words[0] if has_name else "", address, filters


def filters_of(chat: ChatAddress) -> str:
    """Return the filters as they stand behind the address, a blank before each."""
    words = [f"severity={chat.route.least.name.lower()}"] if chat.route.least is not None else []
    words += [f"rule={','.join(sorted(chat.route.rules))}"] if chat.route.rules else []
    return "".join(f" {word}" for word in [*words, *([_PLAIN] if chat.plain_text else [])])


def _no_service(address: str) -> str:
    """Say that the address is of no service, by its scheme alone: the rest of it is secret."""
    if address.startswith(f"{KEYRING}:"):
        return _("an address in the keyring is written keyring:SERVICE, such as {example}").format(
            example=f"{KEYRING}:ntfys"
        )
    scheme, colon, _rest = address.partition("://")
    if not colon or re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,31}", scheme) is None:
        return _no_address()
    if scheme.lower() in {"http", "https"}:
        return _("this server is of no service that is known here: for a JSON webhook write webhook://")
    return _("{scheme}:// is no service that is known here: docs/chat.md lists them").format(scheme=scheme)


def _no_address() -> str:
    return _("expected an address such as {example}").format(example=_EXAMPLE)


def _filtered(route: ChatRoute, word: str) -> ChatRoute:
    key, _equals, value = word.partition("=")
    if key == "severity":
        names = {severity.name.lower(): severity for severity in Severity}
        if value in names:
            return replace(route, least=names[value])
        raise ValueError(_("severity= takes one of {names}").format(names=", ".join(names)))
    if key in {"rule", "rules"}:
        wanted = frozenset(filter(None, value.split(",")))
        if wanted and wanted <= {*RULES, REMINDERS}:
            return replace(route, rules=wanted)
        raise ValueError(
            _("rule= takes names of rules with commas between them, or {when}: {names}").format(
                when=REMINDERS, names=", ".join(RULES)
            )
        )
    # The word itself may be a part of an address with a blank in it.
    raise ValueError(_("behind the address only severity=, rule= and plain may stand"))
