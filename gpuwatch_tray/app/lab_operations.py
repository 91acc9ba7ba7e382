"""What a person does with the alerts and reminders of the lab, which have a state of their own."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from gpuwatch_tray.app.bootstrap import create_lab_engine, open_store
from gpuwatch_tray.app.context import WorkError, lab_context
from gpuwatch_tray.app.control import alerts_json
from gpuwatch_tray.app.lab_json import build_lab
from gpuwatch_tray.app.lab_monitor import explain_view, read_lab_once, silences_file
from gpuwatch_tray.common import host
from gpuwatch_tray.common.lab_numbers import lab_number
from gpuwatch_tray.engine.lab_rule_book import complete_view
from gpuwatch_tray.engine.operations import AlertOperations, NoSuchAlertError
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.lab.source import open_lab
from gpuwatch_tray.model import LabStatus
from gpuwatch_tray.model.units import TO_THE_MINUTE, local_time
from gpuwatch_tray.rules.lab_rules import LAB_RULES, REMOTE, host_prefix, remote_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gpuwatch_tray.app.context import RunContext
    from gpuwatch_tray.lab.prometheus import PrometheusLab
    from gpuwatch_tray.model import LabView
    from gpuwatch_tray.store import Store


COMMENT = "by gpuwatch-tray"  # of a silence for which none is given; others read it, in whatever language


@contextmanager
def _alertmanager(context: RunContext) -> Iterator[PrometheusLab]:
    """Yield what can silence for everyone, and turn its errors into WorkError."""
    from gpuwatch_tray.lab.lab_error import LabError
    from gpuwatch_tray.lab.prometheus import PrometheusLab

    with closing(open_lab(context.settings.lab, context.user, silences_file(context))) as source:
        if not isinstance(source, PrometheusLab) or not context.settings.lab.alertmanager:
            raise WorkError(_("there is no Alertmanager: LAB_ALERTMANAGER in lab.env names none"))
        try:
            yield source
        except LabError as error:
            raise WorkError(str(error.problem)) from error


def silence_for_everyone(context: RunContext, names: Sequence[str], seconds: float, comment: str) -> str:
    """Silence alerts of the lab's Alertmanager, by their numbers, for all who get them. Raises WorkError."""
    author = f"{context.user}@{context.host}"
    lines = []
    with _alertmanager(context) as source:
        fingerprints = _fingerprints(context, names)
        for name, fingerprint in fingerprints.items():
            made = source.silence(fingerprint, seconds, author=author, comment=comment or COMMENT)
            text = _("silenced for everyone until {time}: {name}")
            if not made.ours:
                text = _("silenced for everyone until {time} by {author} already: {name}")
            until = local_time(made.until, TO_THE_MINUTE)
            lines.append(text.format(time=until, author=made.author, name=name))
    return "\n".join(lines)


def _fingerprints(context: RunContext, names: Sequence[str]) -> dict[str, str]:
    """Return the Alertmanager's fingerprints of alerts by their numbers here."""
    found = {}
    with lab_store(context) as store:
        active = {} if store is None else {f"l{alert.id}": alert for alert in store.saved_state().alerts}
    for name in names:
        alert = active.get(name.lower())
        if alert is None:
            ids = ", ".join(key.upper() for key, one in active.items() if one.rule == REMOTE) or _("none")
            text = _("the lab has no alert {name!r} to silence for everyone (it has: {ids})")
            raise WorkError(text.format(name=name, ids=ids))
        if alert.rule != REMOTE:
            text = _("{name} is not an alert of the Alertmanager: without --everyone it is snoozed for you")
            raise WorkError(text.format(name=name))
        found[f"{name.upper()} {alert.message}"] = remote_of(alert.subject).fingerprint
    return found


def end_silences_for_everyone(context: RunContext) -> str:
    """End the silences for everyone that were made here. Raises WorkError."""
    with _alertmanager(context) as source:
        made = source.made_here()
        for silence_id in made:
            source.expire(silence_id)
    if not made:
        return _("there is no silence for everyone that was made here")
    text = ngettext("{count} silence for everyone ended", "{count} silences for everyone ended", len(made))
    return text.format(count=len(made))


@contextmanager
def lab_store(context: RunContext) -> Iterator[Store | None]:
    """Yield the store of the lab; None where there is no lab."""
    lab = lab_context(context)
    if lab is None:
        yield None
        return
    with closing(open_store(lab)) as store:
        yield store


def split_names(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the names of this computer's alerts and rules, and those of the lab's as its state has them."""
    here, there = [], []
    for name in names:
        number = lab_number(name)
        if number is not None:
            there.append(number)
        elif name.startswith("lab/") or name in LAB_RULES:
            there.append(name)
        else:
            here.append(name)
    return here, there


def operate_on_lab(context: RunContext, operation: Callable[[AlertOperations], str]) -> str:
    """Do it on the lab's state, which the running program reads with its next poll. Raises WorkError."""
    with lab_store(context) as store:
        if store is None:
            raise WorkError(_("there is no lab: lab.env names none"))
        try:
            return operation(AlertOperations(store, host.now))
        except NoSuchAlertError as error:
            raise WorkError(str(error)) from error


def lab_alerts(context: RunContext) -> dict[str, Any] | None:
    """Return the lab's alerts as `alerts --json` has them; None where there is no lab."""
    with lab_store(context) as store:
        return None if store is None else alerts_json(store, host.now())


def forget_host(store: Store, name: str) -> bool:
    """Forget a host and its GPUs, or one of these by HOST/UUID; whether it was known."""
    prefix = host_prefix(name)
    rows = [row.uuid for row in store.gpus() if row.uuid.startswith(prefix) or row.uuid == name]
    forgotten = [uuid for uuid in rows if store.forget_gpu(uuid)]
    return bool(forgotten)


def lab_now(context: RunContext) -> dict[str, Any]:
    """Read the lab once, as nobody watches it, and judge it without a trace. Raises WorkError."""
    lab = lab_context(context)
    if lab is None:
        raise WorkError(
            _("there is no lab: set LAB_HOSTS or LAB_PROMETHEUS in lab.env (`gpuwatch-tray setup config`)")
        )
    view = read_lab_once(lab)
    with closing(open_store(lab)) as store:
        return build_lab(_status(lab, store, view))


def explain_lab(context: RunContext) -> Iterator[str]:
    """Say of each rule about the lab what one look at it and its state tell; nothing without a lab."""
    lab = lab_context(context)
    if lab is None:
        return
    view = read_lab_once(lab)
    with closing(open_store(lab)) as store:
        lines = explain_view(create_lab_engine(lab, store), view)
    yield from ("", _("The lab:"), "")
    yield _(
        "Only the tray and `watch` judge the lab, and none is running: nobody is told anything of it now."
        " This is one look at it, and the alerts that are stored; how long a condition has held, and whether"
        " an Alertmanager gets its alerts, the running program alone knows."
    )
    yield from ("", *lines)


def _status(context: RunContext, store: Store, view: LabView) -> LabStatus:
    status = create_lab_engine(context, store).preview(view)
    completed = complete_view(view, store.gpus())
    return LabStatus(
        status.level, status.headline, time.time(), completed, status.alerts, view.notes, status.snoozed_until
    )
