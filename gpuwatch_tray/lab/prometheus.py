"""The lab as a Prometheus and its Alertmanager know it."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from gpuwatch_tray.common.threads import call_with_timeout
from gpuwatch_tray.i18n import _
from gpuwatch_tray.lab.alert_feed import FeedJudge
from gpuwatch_tray.lab.alertmanager import Alertmanagers, AlertsRead
from gpuwatch_tray.lab.answers import harmless, host_of
from gpuwatch_tray.lab.exporters import missing_notes
from gpuwatch_tray.lab.host_detail import snapshot_of
from gpuwatch_tray.lab.host_states import (
    HostMemory,
    PollTime,
    host_names,
    judge_hosts,
    newest_age,
    oldest_allowed,
)
from gpuwatch_tray.lab.host_view import CLOCK_TOLERANCE, clock_notes
from gpuwatch_tray.lab.http import LabServer
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.lab.prometheus_poll import PrometheusClient, PrometheusPoll, recognised
from gpuwatch_tray.lab.promql import detail_query
from gpuwatch_tray.model import (
    FeedState,
    HostState,
    HostView,
    LabView,
    Problem,
    RemoteSilence,
    Snapshot,
    known,
)
from gpuwatch_tray.model.units import HOUR, MINUTE, rough_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gpuwatch_tray.lab.login import LabSecret
    from gpuwatch_tray.lab.silences_made import SilencesMade
    from gpuwatch_tray.model import RoomWanted
    from gpuwatch_tray.settings import LabSettings

T = TypeVar("T")

POLL_SECONDS = 10.0  # for all of a poll
PROMETHEUS_SECONDS = 7.0  # of them at most, so that the Alertmanager is asked too
_GRACE = 0.5  # seconds for what gives up by itself to say why
COMPARED_EVERY, COMPARED_AGAIN, COMPARED_WITHIN = HOUR, MINUTE, 1.5  # seconds
DETAIL_SECONDS = 5.0
DETAIL_KEPT = 15.0  # seconds
_MOST_DETAILS = 20


class SingleFlight:
    """Runs calls on a thread beside, for at most so many seconds; while one still hangs, none is begun."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._busy = threading.Lock()

    def call(self, call: Callable[[], T], seconds: float, wait: float = 0.0) -> T:
        """
        Return or raise what `call` does; LabError where it takes longer, or another one still runs.

        For the end of that one it waits `wait` seconds.
        """
        if not self._busy.acquire(timeout=wait):
            raise LabError(LabFailure.UNREACHABLE, _("the last question has not been answered yet"))

        def run() -> T:
            try:
                return call()
            finally:
                self._busy.release()

        try:
            return call_with_timeout(seconds, run, self._name)
        except TimeoutError:
            text = _("no answer within {seconds:.0f} s").format(seconds=seconds)
            raise LabError(LabFailure.UNREACHABLE, text) from None


class PrometheusLab:
    """
    The lab by LAB_PROMETHEUS and LAB_ALERTMANAGER.

    `secret` gives the password or the token of LAB_AUTH, and is closed with it; `made` are the silences made
    here. All of it may be called from several threads.
    """

    def __init__(
        self,
        settings: LabSettings,
        secret: LabSecret,
        made: SilencesMade,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._clock, self._steady = clock, steady

        def server(address: str) -> LabServer:
            return LabServer(address, settings, secret)

        # A client each for what runs side by side: an answer that hangs keeps its connection.
        self._clients = deque(PrometheusClient(server(address), settings) for address in settings.prometheus)
        self._detail_clients = {
            client.server.address: PrometheusClient(server(client.server.address), settings)
            for client in self._clients
        }
        self._alertmanagers = Alertmanagers(list(map(server, settings.alertmanager)), made)
        self._made = made
        self._feed = FeedJudge()
        self._polls, self._alert_reads, self._details = map(SingleFlight, ("lab", "lab-alerts", "lab-detail"))
        self._memory = HostMemory()
        self._instances: dict[str, str] = {}  # by the host's name
        self._elsewhere: dict[str, str] = {}  # the instances of the replicas that are not asked, with whose
        self._compare_at = 0.0  # on the monotonic clock
        # What the last read brought: the hosts by name, and why nothing is known.
        self._views: dict[str, HostView] | None = None
        self._problem: Problem | None = None
        self._kept: dict[str, tuple[float, Snapshot]] = {}  # details by the host's name, with the steady time
        self._source = f"Prometheus {self._clients[0].server.name}"

    @property
    def name(self) -> str:
        """The source's name, as people read it."""
        return self._source

    def read(self, wanted: Sequence[RoomWanted] = (), /) -> LabView:
        """Ask once; within 10 s, and without raising LabError: what is not known is named in the view."""
        began = time.monotonic()
        problem: Problem | None = None
        poll: PrometheusPoll | None = None
        try:
            poll = self._polls.call(
                lambda: self._ask_first_fresh(began + PROMETHEUS_SECONDS, wanted),
                PROMETHEUS_SECONDS + _GRACE,
            )
        except LabError as error:
            problem = error.problem
        read = self._read_alerts(began + POLL_SECONDS)
        now = PollTime(self._clock(), self._steady())
        self._problem = problem
        if poll is None:
            self._memory = self._memory.interrupted(now)
            return self._with_alerts(self._blank(now, problem), None, read)
        views, self._memory = judge_hosts(poll.answers, self._memory, now, interval=poll.interval)
        hosts = self._named(views)
        view = LabView(
            self._source,
            now.wall,
            hosts,
            self._whole_problem(poll),
            notes=(*self._clock_notes(poll, hosts), *poll.notes, *missing_notes(poll.exporters)),
        )
        return self._with_alerts(view, poll, read)

    def detail(self, host: str) -> Snapshot:
        """
        Return one host GPU by GPU, at most 15 s old; what cannot be asked is the snapshot's problem.

        Prometheus goes on serving what it last had: so a host that is not OK is not asked for.
        """
        if self._views is None:
            self.read()
        view, instance = (self._views or {}).get(host), self._instances.get(host)
        if view is None or instance is None:
            nowhere = Problem(_("the lab has no such host"))
            return Snapshot(host, self._clock(), problem=self._problem or nowhere)
        if view.state is not HostState.OK:
            return Snapshot(host, self._clock(), problem=Problem(f"{host}: {view.reason}"))
        kept = self._kept.get(host)
        if kept is not None and self._steady() - kept[0] < DETAIL_KEPT:
            return kept[1]
        client = self._detail_clients[self._clients[0].server.address]
        query = detail_query(self._settings.job, instance)
        try:
            # One that is asked for while another is on its way waits for that.
            samples = self._details.call(
                lambda: client.query(query, time.monotonic() + DETAIL_SECONDS),
                DETAIL_SECONDS + _GRACE,
                DETAIL_SECONDS,
            )
        except LabError as error:
            return Snapshot(host, self._clock(), problem=error.problem)
        snapshot = snapshot_of(host, samples, self._settings.me, self._clock())
        while len(self._kept) >= _MOST_DETAILS:
            self._kept.pop(list(self._kept)[0], None)  # noqa: RUF015  # at once, beside other threads
        self._kept[host] = self._steady(), snapshot
        return snapshot

    def silence(self, fingerprint: str, seconds: float, *, author: str, comment: str) -> RemoteSilence:
        """Silence one alert for everyone; raises LabError. See `Alertmanagers.silence`."""
        if not self._settings.silence:
            raise LabError(
                LabFailure.CONFIGURATION,
                _("silences for everyone are off"),
                _("set LAB_SILENCE=on in lab.env"),
            )
        end = time.monotonic() + POLL_SECONDS
        return self._alert_reads.call(
            lambda: self._alertmanagers.silence(
                fingerprint, seconds, author=author, comment=comment, now=self._clock(), end=end
            ),
            POLL_SECONDS,
            POLL_SECONDS,
        )

    def expire(self, silence_id: str) -> None:
        """End a silence that was made here; raises LabError."""
        end = time.monotonic() + POLL_SECONDS
        self._alert_reads.call(
            lambda: self._alertmanagers.expire(silence_id, end), POLL_SECONDS, POLL_SECONDS
        )

    def made_here(self) -> tuple[str, ...]:
        """Return the ids of the silences that were made here and last."""
        return tuple(sorted(self._made.ids()))

    def forget(self, host: str) -> None:
        """Forget a host that is gone for good; one that Prometheus still has comes again."""
        instance = self._instances.pop(host, None)
        if instance is not None:
            self._memory = self._memory.without([instance])

    def retry(self) -> None:
        """Have the next read ask the keyring, though it could not be used a while ago."""
        self._secret.retry()

    def close(self) -> None:
        """Close the connections."""
        for client in (*self._clients, *self._detail_clients.values()):
            client.server.close()
        self._alertmanagers.close()
        self._secret.close()

    def _ask_first_fresh(self, end: float, wanted: Sequence[RoomWanted]) -> PrometheusPoll:
        """Return the poll of the first replica whose targets are fresh, else of the first that has any."""
        best: PrometheusPoll | None = None
        failure: LabError | None = None
        for left in range(len(self._clients), 0, -1):
            client = self._clients[0]
            share = (end - time.monotonic()) / left
            try:
                poll = client.poll(time.monotonic() + share, wanted, first=not self._memory.hosts)
            except LabError as error:
                failure = failure or recognised(error, client.server, time.monotonic() + share)
            else:
                if _is_fresh(poll):
                    self._compare_others(end)
                    return poll  # it stays in front for the next poll
                if best is None or (poll.answers.scraped and not best.answers.scraped):
                    best = poll
            self._clients.rotate(-1)
        if best is not None:
            return best
        if failure is None:
            raise LabError(LabFailure.CONFIGURATION, _("LAB_PROMETHEUS is empty"))
        raise failure

    def _compare_others(self, end: float) -> None:
        """Ask the others now and then for their targets: replicas have the same as the one in front."""
        now = time.monotonic()
        if len(self._clients) == 1 or now < self._compare_at:
            return
        elsewhere: dict[str, str] = {}
        self._compare_at = now + COMPARED_EVERY
        for client in list(self._clients)[1:]:
            try:
                found = client.instances(min(end, time.monotonic() + COMPARED_WITHIN))
            except LabError:
                self._compare_at = now + COMPARED_AGAIN  # what it had before it may still have
                elsewhere |= {
                    one: name for one, name in self._elsewhere.items() if name == client.server.name
                }
            else:
                elsewhere |= dict.fromkeys(found, client.server.name)
        self._elsewhere = elsewhere

    def _read_alerts(self, end: float) -> AlertsRead | None:
        """Ask the Alertmanagers; None where there are none."""
        if not self._settings.alertmanager:
            return None
        left = end - time.monotonic()
        try:
            return self._alert_reads.call(lambda: self._alertmanagers.read(end - _GRACE), left)
        except LabError as error:
            return AlertsRead((), {}, (error,), answered=False)

    def _blank(self, now: PollTime, problem: Problem | None) -> LabView:
        """Return a view in which nothing is known of any host, though each is there."""
        hosts = {
            instance: HostView(instance, HostState.UNKNOWN, reason=_("Prometheus cannot be asked"))
            for instance in self._memory.hosts
        }
        return LabView(self._source, now.wall, self._named(hosts), problem)

    def _named(self, views: dict[str, HostView]) -> tuple[HostView, ...]:
        """Give the hosts their names, add those that must be there and are not, and sort them."""
        text = _("only {server} has it, and of several one is asked: they must have the same targets")
        elsewhere = {
            instance: HostView(instance, HostState.UNKNOWN, reason=text.format(server=server))
            for instance, server in self._elsewhere.items()
        }
        views = elsewhere | views
        names = host_names(views)
        self._instances = {name: instance for instance, name in names.items()}
        named = [replace(view, name=names[instance]) for instance, view in views.items()]
        named += [
            HostView(pin, HostState.UNKNOWN, reason=_("Prometheus does not have it"))
            for pin in self._settings.pins
            if pin not in self._instances
        ]
        self._views = {view.name: view for view in named}
        return tuple(view for _name, view in sorted(self._views.items()))

    def _whole_problem(self, poll: PrometheusPoll) -> Problem | None:
        age = newest_age(poll.answers)
        if age is None:
            text = _("Prometheus has no target of the job {job}").format(job=self._settings.job)
            return Problem(text, _("see LAB_JOB in lab.env, and `gpuwatch-tray setup prometheus`"))
        if age > oldest_allowed(poll.interval):
            text = _("Prometheus last asked a host {time} ago: its answers are old")
            return Problem(
                text.format(time=rough_duration(age)), _("does it still scrape? See its page Targets")
            )
        return None

    def _clock_notes(self, poll: PrometheusPoll, hosts: tuple[HostView, ...]) -> tuple[str, ...]:
        notes = []
        if poll.clock is not None and abs(poll.clock) > CLOCK_TOLERANCE:
            text = _("the clocks of this computer and of Prometheus differ by {time}")
            notes.append(text.format(time=rough_duration(abs(poll.clock))))
        return (*notes, *clock_notes(hosts))

    def _with_alerts(self, view: LabView, poll: PrometheusPoll | None, read: AlertsRead | None) -> LabView:
        if read is None:
            return view
        there = {(entry.labels.get("alertname", ""), host_of(entry.labels)) for entry in read.entries}
        firing, silent = (None, None) if poll is None else (poll.firing, poll.silent)
        feed, why = self._feed.judge(firing, there if read.answered else None, silent or frozenset())
        if feed is FeedState.UNREACHABLE and read.failures:
            why = str(read.failures[0].problem)
        elif feed is FeedState.FED and read.failures:
            # What that one alone has is not there, and not over.
            feed, why = FeedState.UNKNOWN, read.failures[0].text
        by_instance = {instance: name for name, instance in self._instances.items()}

        def name_of(instance: str) -> str:
            return by_instance.get(instance) or host_names([instance])[instance]

        mine = {host.name for host in view.hosts if (known(host.mine) or 0) > 0}
        standing = (
            frozenset() if poll is None else (poll.firing or frozenset()) | (poll.pending or frozenset())
        )
        told = {FeedState.UNREACHABLE, FeedState.UNKNOWN}
        failed = () if feed in told else tuple(error.text for error in read.failures)
        return replace(
            view,
            alerts=self._alertmanagers.shown(read, name_of, mine, self._settings.me),
            feed=feed,
            feed_problem=why,
            standing=frozenset((harmless(name), name_of(instance)) for name, instance in standing),
            notes=(*view.notes, *failed),
        )


def _is_fresh(poll: PrometheusPoll) -> bool:
    age = newest_age(poll.answers)
    return age is not None and age <= oldest_allowed(poll.interval)
