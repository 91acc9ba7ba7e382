"""`mail queue`, `retry` and `drop`: the outbox by hand; through the running tray, else on the store."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, TypeAlias

from gpuwatch_tray import redact
from gpuwatch_tray.commands.asking import ask_or_store
from gpuwatch_tray.context import UsageError, WorkError
from gpuwatch_tray.control import Refused
from gpuwatch_tray.language import _, ngettext
from gpuwatch_tray.units import local_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gpuwatch_tray.context import Setup
    from gpuwatch_tray.control import Handler
    from gpuwatch_tray.store import OutboxMail, Store
    from gpuwatch_tray.watching import Monitor

ALL = "all"
Act: TypeAlias = "Callable[[Store, Mapping[str, Any]], dict[str, Any]]"


class NoSuchMail(Exception):  # noqa: N818  # a fact about the outbox
    """No mail of this number can be sent or dropped now."""


def show(setup: Setup, *, as_json: bool) -> int:
    """Print every mail that has not left, when it is tried next, and why it has not."""
    answer = _ask(setup, {"do": "mail queue"})
    print(json.dumps(answer, indent=2) if as_json else "\n".join(_lines(answer["mails"])))
    return 0


def retry(setup: Setup, names: Sequence[str]) -> int:
    """Have these mails sent now, those that were given up too."""
    count = _ask(setup, {"do": "mail retry", "ids": _numbers(names)})["count"]
    print(ngettext("{count} mail is due now", "{count} mails are due now", count).format(count=count))
    return 0


def drop(setup: Setup, names: Sequence[str]) -> int:
    """Never send these mails."""
    count = _ask(setup, {"do": "mail drop", "ids": _numbers(names)})["count"]
    print(ngettext("{count} mail dropped", "{count} mails dropped", count).format(count=count))
    return 0


def handlers(store: Store, watching: Monitor) -> dict[str, Handler]:
    """What the running program answers about the outbox; it looks there at once after each change."""

    def handler(act: Act) -> Handler:
        def handle(request: dict[str, Any]) -> dict[str, Any]:
            try:
                answer = act(store, request)
            except NoSuchMail as error:
                raise Refused(str(error)) from error
            watching.look_at_mails()
            return answer

        return handle

    return {do: handler(act) for do, act in ACTS.items()}


def _numbers(names: Sequence[str]) -> list[int]:
    """The numbers; none for all of them."""
    if list(names) == [ALL]:
        return []
    try:
        return [int(name) for name in names]
    except ValueError:
        raise UsageError(
            _("a mail's number is expected, or `all`: `gpuwatch-tray mail queue` lists them")
        ) from None


def _ask(setup: Setup, request: Mapping[str, Any]) -> dict[str, Any]:
    def on_store(store: Store) -> dict[str, Any]:
        try:
            return ACTS[request["do"]](store, request)
        except NoSuchMail as error:
            raise WorkError(str(error)) from error

    return ask_or_store(setup, request, on_store)


def _queue(store: Store, _request: Mapping[str, Any]) -> dict[str, Any]:
    return {"mails": [_record(mail) for mail in store.unsent_mails()]}


def _retry(store: Store, request: Mapping[str, Any]) -> dict[str, Any]:
    return _changed(store, request, lambda ids: store.resend_mails(ids, time.time()))


def _drop(store: Store, request: Mapping[str, Any]) -> dict[str, Any]:
    return _changed(store, request, lambda ids: store.drop_mails(ids, time.time()))


def _changed(store: Store, request: Mapping[str, Any], change: Callable[[list[int]], int]) -> dict[str, Any]:
    there = [mail.id for mail in store.unsent_mails()]
    asked = [int(number) for number in request["ids"]]
    unknown = [str(number) for number in asked if number not in there]
    if unknown:
        raise NoSuchMail(_("no mail {numbers} waits").format(numbers=", ".join(unknown)))
    count = change(asked or there)
    if not count and asked:
        raise NoSuchMail(_("being sent at the moment, or waiting for a digest: try again in a minute"))
    return {"count": count}


ACTS: dict[str, Act] = {
    "mail queue": _queue,
    "mail retry": _retry,
    "mail drop": _drop,
}


def _record(mail: OutboxMail) -> dict[str, Any]:
    """As `mail queue --json` has it. The keys stay; times are seconds since the epoch."""
    return {
        "id": mail.id,
        "state": mail.state,
        "kind": mail.message.kind.value,
        "subject": redact.visible(mail.message.subject),
        "message_id": mail.message.message_id,
        "created": mail.message.created,
        "attempts": mail.attempts,
        "next_at": mail.next_at if mail.state in {"queued", "blocked"} else None,
        "error": mail.error or None,
        "failure": mail.failure or None,
    }


def _lines(mails: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not mails:
        yield _("no mail waits")
    for mail in mails:
        yield f"{mail['id']:>5}  {local_time(mail['created'])}  {mail['subject']}"
        yield f"       {_state(mail)}"
        if mail["error"]:
            yield f"       {redact.visible(mail['error'])}"


def _state(mail: Mapping[str, Any]) -> str:
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
