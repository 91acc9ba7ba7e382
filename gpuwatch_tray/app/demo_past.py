"""A demo's past: the simulated day before it, put through the same rules and sums as a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.alerts.state_machine import fingerprint
from gpuwatch_tray.history import Sampler
from gpuwatch_tray.model import Alert, Instant, Phase
from gpuwatch_tray.model.units import MINUTE
from gpuwatch_tray.rules.gpu_use import judge_gpu_limit, judge_max_etime
from gpuwatch_tray.rules.temperature import judge_temperature
from gpuwatch_tray.sources.simulated_day import simulated_day
from gpuwatch_tray.store import Commit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gpuwatch_tray.model import Limits, Minute, Snapshot


RULES = (judge_gpu_limit, judge_max_etime, judge_temperature)
JUDGED_EVERY = 10 * MINUTE  # seconds between the readings that the rules see: the start waits for them
LAST_HOUR = 3600.0  # seconds before the demo without an alert: its own are none that comes and goes


def past_minutes(day: Iterable[Snapshot], limits: Limits) -> Iterator[Minute]:
    """Yield the minutes of these readings."""
    sampler = Sampler(limits, gap=2.0 * MINUTE)
    for snapshot in day:
        for minute in sampler.add(snapshot, (), Instant(snapshot.at)):
            yield minute()
    for minute in sampler.finish_minute():
        yield minute()


def past_alerts(day: Iterable[Snapshot], limits: Limits, host: str) -> tuple[Alert, ...]:
    """Return the alerts of these readings, all of them over; what fires at the end is left out."""
    firing: dict[str, Alert] = {}
    over: list[Alert] = []
    for snapshot in day:
        now = Instant(snapshot.at)
        verdicts = [judge(snapshot, limits) for judge in RULES]
        found = [finding for verdict in verdicts for finding in verdict.findings]
        names = {fingerprint(host, finding.rule, finding.subject): finding for finding in found}
        held = {fingerprint(host, verdict.rule, subject) for verdict in verdicts for subject in verdict.band}
        over += [
            replace(firing.pop(name), phase=Phase.RESOLVED, resolved=now)
            for name in firing.keys() - names - held
        ]
        for name, finding in names.items():
            firing.setdefault(
                name,
                Alert(
                    name,
                    finding.rule,
                    finding.subject,
                    finding.severity,
                    finding.reason,
                    snapshot.at,
                    value=finding.value,
                    text=finding.text,
                    fired=now,
                ),
            )
    over.sort(key=lambda alert: alert.since)
    return tuple(replace(alert, id=number) for number, alert in enumerate(over, start=1))


def past_commit(limits: Limits, host: str, user: str, now: float) -> Commit:
    """Return what the evaluations of the day before `now` (wall time) would have written."""
    alerts = past_alerts(simulated_day(now, user, JUDGED_EVERY), limits, host)
    return Commit(Instant(now - LAST_HOUR), in_loop=False, ended_without_mail=alerts)
