"""The way to a lab, as `gpuwatch-tray lab test` goes it: each step says what is there or what is not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuwatch_tray.common.text import NAMED, listed
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.lab.alert_feed import POLLS, FeedJudge
from gpuwatch_tray.lab.answers import harmless, host_of, parse_alerts
from gpuwatch_tray.lab.exporters import EXPORTERS, GPUWATCH, missing_notes
from gpuwatch_tray.lab.host_states import (
    HostMemory,
    PollTime,
    host_names,
    judge_hosts,
    newest_age,
    oldest_allowed,
)
from gpuwatch_tray.lab.host_view import CLOCK_TOLERANCE, clocks_off
from gpuwatch_tray.lab.http import LabServer
from gpuwatch_tray.lab.lab_error import LabError
from gpuwatch_tray.lab.login import UNLOCK_SECONDS, secret_place
from gpuwatch_tray.lab.prometheus_poll import PrometheusClient, is_alertmanager, is_prometheus
from gpuwatch_tray.lab.promql import quote
from gpuwatch_tray.model import FeedState, HostState
from gpuwatch_tray.model.units import rough_duration
from gpuwatch_tray.settings import LabLogin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gpuwatch_tray.lab.alert_feed import AlertKey
    from gpuwatch_tray.lab.login import LabSecret
    from gpuwatch_tray.lab.prometheus_poll import PrometheusPoll
    from gpuwatch_tray.settings import LabSettings

STEP_SECONDS = 10.0  # for one server's part of a step


class LabStep(Struct, frozen=True):
    """One step: good, bad, or with None worth a look; what was found, and how to correct it."""

    ok: bool | None
    text: str
    mend: str = ""


def prometheus_steps(
    settings: LabSettings, secret: LabSecret, pause: Callable[[float], None] = time.sleep
) -> Iterator[LabStep]:
    """Go the way to each Prometheus and Alertmanager; `pause` waits between two looks at what is fed."""
    if settings.login is not LabLogin.NONE:
        try:
            secret.read(UNLOCK_SECONDS)
        except LabError as error:  # without it nobody would answer
            yield _failed(error)
            return
        yield LabStep(True, _("the password is in {place}").format(place=secret_place(settings)))
    firing: set[AlertKey] | None = None
    servers = [LabServer(address, settings, secret) for address in settings.prometheus]
    for server in servers:
        client = PrometheusClient(server, settings)
        try:
            is_prometheus(client, _end())
            yield LabStep(True, _("{server} is a Prometheus, and answers us").format(server=server.name))
            poll = client.poll(_end())
            yield from _target_steps(client, settings, poll)
            yield from _host_steps(poll)
            firing = (firing or set()) | (poll.firing or set())
        except LabError as error:
            yield _failed(error)
        finally:
            server.close()
    for address in settings.alertmanager:
        yield from _alertmanager_steps(LabServer(address, settings, secret), firing, settings, pause)


def _end() -> float:
    return time.monotonic() + STEP_SECONDS


def _failed(error: LabError) -> LabStep:
    return LabStep(False, error.text, error.mend)


def _target_steps(client: PrometheusClient, settings: LabSettings, poll: PrometheusPoll) -> Iterator[LabStep]:
    answers = poll.answers
    age = newest_age(answers)
    if age is None:
        yield LabStep(
            False,
            _("no target has the job {job}").format(job=settings.job),
            _jobs_hint(client) or _("`gpuwatch-tray setup prometheus` prints what Prometheus needs"),
        )
        return
    count = len(answers.scraped)
    text = ngettext("{count} target has the job {job}", "{count} targets have the job {job}", count)
    yield LabStep(True, text.format(count=count, job=settings.job))
    if age > oldest_allowed(poll.interval):
        text = _("it last asked one of them {time} ago: its answers are old")
        yield LabStep(
            False, text.format(time=rough_duration(age)), _("does it still scrape? See its page Targets")
        )
    else:
        text = _("it asks them every {seconds:.0f} s, the last time {age:.0f} s ago")
        yield LabStep(True, text.format(seconds=poll.interval, age=max(age, 0.0)))
    twice = client.query(f"count by (instance) (up{{job={quote(settings.job)}}}) > 1", _end())
    if twice:
        doubled = [sample.labels.get("instance", "") for sample in twice]
        yield LabStep(
            None,
            _("several targets have one name, and are taken for one host: {hosts}").format(
                hosts=_listed(doubled)
            ),
            _("give each its own label `instance`"),
        )
    foreign = [exporter.name for exporter in poll.exporters if exporter is not GPUWATCH]
    if not foreign and "reading" not in _told(poll) and "blind" not in _told(poll):
        text = _("none of them tells of GPUs, by the metrics of {exporters}")
        yield LabStep(
            False,
            text.format(exporters=", ".join(exporter.name for exporter in EXPORTERS)),
            _("start `gpuwatch-tray export` on the hosts, or set LAB_JOB to the job that has their GPUs"),
        )
    else:
        names = ", ".join(exporter.name for exporter in poll.exporters)
        yield LabStep(True, _("their GPUs are told by {exporters}").format(exporters=names))
    for note in (*missing_notes(poll.exporters), *poll.notes):
        yield LabStep(None, note)


def _told(poll: PrometheusPoll) -> set[str]:
    return {name for name, numbers in poll.answers.values.items() if numbers}


def _jobs_hint(client: PrometheusClient) -> str:
    """Name the jobs that do have GPUs, where there are any."""
    signs = "|".join(exporter.sign for exporter in EXPORTERS)
    found = client.query(f"count by (job) ({{__name__=~{quote(signs)}}})", _end())
    jobs = sorted({harmless(sample.labels.get("job", "")) for sample in found} - {""})
    if not jobs:
        return ""
    return _("these jobs have GPUs: {jobs}; set LAB_JOB to one").format(jobs=", ".join(jobs[:NAMED]))


def _host_steps(poll: PrometheusPoll) -> Iterator[LabStep]:
    now = PollTime(time.time(), time.monotonic())
    views, _memory = judge_hosts(poll.answers, HostMemory(), now, interval=poll.interval)
    if not views:
        return
    names = host_names(views)
    good = sum(view.state is HostState.OK for view in views.values())
    away = [names[name] for name, view in views.items() if view.state not in {HostState.OK, HostState.GONE}]
    text = _("{good} of {every} hosts are read").format(good=good, every=len(views))
    if away:
        text = _("{said}; not: {hosts}").format(said=text, hosts=_listed(away))
    yield LabStep(bool(good) and (not away or None), text)
    off = [names[view.name] for view in clocks_off(views.values())]
    if off:
        yield LabStep(None, _("the clocks are off on {hosts}").format(hosts=_listed(off)), _("see NTP there"))
    if poll.clock is not None and abs(poll.clock) > CLOCK_TOLERANCE:
        text = _("the clocks of this computer and of Prometheus differ by {time}")
        yield LabStep(None, text.format(time=rough_duration(abs(poll.clock))), _("see NTP on both"))


def _alertmanager_steps(
    server: LabServer, firing: set[AlertKey] | None, settings: LabSettings, pause: Callable[[float], None]
) -> Iterator[LabStep]:
    try:
        alerts = _alerts_of(server)
        text = ngettext(
            "{server} is an Alertmanager, and has {count} alert",
            "{server} is an Alertmanager, and has {count} alerts",
            len(alerts),
        )
        yield LabStep(True, text.format(server=server.name, count=len(alerts)))
        yield from _feed_steps(server, alerts, firing, pause)
        if settings.silence:
            yield LabStep(True, _("alerts can be silenced for everyone, as LAB_SILENCE is on"))
    except LabError as error:
        yield _failed(error)
    finally:
        server.close()


def _alerts_of(server: LabServer) -> set[AlertKey]:
    try:
        entries = parse_alerts(server.name, server.get("/api/v2/alerts", STEP_SECONDS).json)
    except LabError as error:
        if not is_alertmanager(server, _end()) and _is_prometheus(server):
            raise LabError(
                error.kind,
                _("{server} is a Prometheus, not an Alertmanager").format(server=server.name),
                _("exchange LAB_PROMETHEUS and LAB_ALERTMANAGER in lab.env"),
            ) from None
        raise
    return {(entry.labels.get("alertname", ""), host_of(entry.labels)) for entry in entries}


def _is_prometheus(server: LabServer) -> bool:
    try:
        answer = server.get("/api/v1/query", STEP_SECONDS, [("query", "vector(1)")]).json
    except LabError:
        return False
    return isinstance(answer, dict) and answer.get("status") == "success"


def _feed_steps(
    server: LabServer, alerts: set[AlertKey], firing: set[AlertKey] | None, pause: Callable[[float], None]
) -> Iterator[LabStep]:
    judge = FeedJudge()
    feed, why = judge.judge(firing, alerts)
    for _look in range(POLLS - 1 if feed is FeedState.UNKNOWN and firing is not None else 0):
        pause(1.0)
        feed, why = judge.judge(firing, _alerts_of(server))
    if feed is FeedState.UNFED:
        yield LabStep(
            False,
            _("alerts do not reach it: {why}").format(why=why),
            _("see `alerting:` in Prometheus's configuration, and its page Status, Runtime"),
        )
    elif firing is None:
        yield LabStep(None, _("whether alerts reach it is not known: Prometheus does not say what fires"))
    elif not firing:
        yield LabStep(
            None,
            _("no alert fires, so that nothing shows whether alerts reach it"),
            _("`gpuwatch-tray setup prometheus` prints a rule that always fires"),
        )
    else:
        yield LabStep(True, _("alerts reach it: it has what fires in Prometheus"))


def _listed(names: list[str]) -> str:
    return listed([harmless(name) for name in sorted(names)])
