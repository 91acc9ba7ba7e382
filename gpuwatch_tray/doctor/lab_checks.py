"""The check of the lab: whether each machine can be asked, and an Alertmanager be believed."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.doctor.output import CheckResult, ok, problem, warning
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.lab.host_view import clock_notes, clocks_off
from gpuwatch_tray.lab.login import secret_place
from gpuwatch_tray.model import FeedState, HostState, Missing
from gpuwatch_tray.rules.lab_rules import blind_text, feed_text
from gpuwatch_tray.settings import LabLogin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from gpuwatch_tray.model import HostView, LabView
    from gpuwatch_tray.settings import LabSettings


LAB_TOPIC = "lab"
MOST_LINES = 20  # hosts that are named one by one


def check_lab(lab: LabSettings, read: Callable[[], LabView] | None) -> Iterator[CheckResult]:
    """Check the lab by reading it once; `read` is None where there is none."""
    if read is None:
        yield ok(LAB_TOPIC, _("off: lab.env names neither LAB_HOSTS nor LAB_PROMETHEUS"))
        return
    if lab.hosts and shutil.which(lab.ssh[0]) is None:
        text = _("the program {program} of LAB_SSH is not found").format(program=lab.ssh[0])
        yield problem(LAB_TOPIC, text, _("install the ssh client, or correct LAB_SSH"))
        return
    if lab.login is not LabLogin.NONE and lab.prometheus:
        text = _("LAB_AUTH={login}, with the password of {place}")
        yield ok(LAB_TOPIC, text.format(login=lab.login.value, place=secret_place(lab)))
    view = read()
    if view.problem is not None:
        yield problem(LAB_TOPIC, view.problem.text, view.problem.mend)
        return
    yield from _hosts(view)
    if view.feed is FeedState.FED:
        yield ok(LAB_TOPIC, _("the Alertmanager answers, and alerts reach it"))
    elif text := feed_text(view):
        yield (warning if view.feed is FeedState.UNKNOWN else problem)(LAB_TOPIC, text)
    said = clock_notes(view.hosts)  # host by host, with how far each is off
    yield from (warning(LAB_TOPIC, note) for note in view.notes if note not in said)


def about_lab(results: Iterable[CheckResult]) -> Iterator[CheckResult]:
    """Say of each result that it is about the lab: its outbox, say, is checked as that of this computer."""
    for result in results:
        yield replace(result, text=_("about the lab: {text}").format(text=result.text))


def check_way(lab: LabSettings, user: str) -> Iterator[CheckResult]:
    """Go the way to a Prometheus and its Alertmanager step by step; `user` is this account's name."""
    from gpuwatch_tray.lab.lab_steps import prometheus_steps
    from gpuwatch_tray.lab.login import LabSecret

    with closing(LabSecret(lab)) as secret:
        for step in prometheus_steps(replace(lab, me=lab.me or user), secret):
            if step.ok:
                yield ok(LAB_TOPIC, step.text)
            else:
                yield (warning if step.ok is None else problem)(LAB_TOPIC, step.text, step.mend)


def _hosts(view: LabView) -> Iterator[CheckResult]:
    lost = [host for host in view.hosts if host.state is not HostState.OK]
    well = [host for host in view.hosts if host.state is HostState.OK]
    if not well:
        yield problem(LAB_TOPIC, _("no host answers (there are {count})").format(count=len(view.hosts)))
    if len(well) > MOST_LINES:
        yield ok(LAB_TOPIC, _("{count} hosts answer").format(count=len(well)))
    else:
        for host in well:
            yield ok(LAB_TOPIC, _well(host))
    for host in lost[:MOST_LINES]:
        yield problem(LAB_TOPIC, blind_text(host))
    if len(lost) > MOST_LINES:
        yield problem(LAB_TOPIC, _("and {count} more").format(count=len(lost) - MOST_LINES))
    for host in clocks_off(well)[:MOST_LINES]:
        text = _("the clock of {host} differs from this computer's by {seconds:+.0f} s").format(
            host=host.name, seconds=host.clock
        )
        yield warning(LAB_TOPIC, text, _("set its time by NTP"))


def _well(host: HostView) -> str:
    if isinstance(host.gpus, Missing):
        return _("{host} answers with a list: idle GPUs are not known").format(host=host.name)
    if isinstance(host.free, Missing):
        return ngettext(
            "{host} answers: {count} GPU, and whether it is free is not known",
            "{host} answers: {count} GPUs, and of some it is not known whether they are free",
            host.gpus,
        ).format(host=host.name, count=host.gpus)
    return _("{host} answers: {free} of {count} GPUs free").format(
        host=host.name, free=host.free, count=host.gpus
    )
