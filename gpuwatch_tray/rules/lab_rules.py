"""
The rules about a lab of many hosts: pure functions from a view of it to verdicts.

A subject begins with the host and a slash. Of a host that is not OK nothing is news: each rule leaves its
subjects open, so that they neither fire nor clear. What the rules about GPUs make of a host is in
`lab_hosts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from msgspec import Struct, field
from msgspec.structs import replace

from gpuwatch_tray.common.text import listed
from gpuwatch_tray.i18n import N_, _, ngettext
from gpuwatch_tray.model import (
    Alert,
    FeedState,
    Finding,
    HostState,
    LabLimits,
    Limits,
    Missing,
    RemoteAlert,
    Severity,
    Terms,
    Verdict,
)
from gpuwatch_tray.model.units import HOUR, MINUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gpuwatch_tray.model import HostView, Instant, LabView
    from gpuwatch_tray.rules import RuleHistory


LAB_BLIND, HOST_BLIND, HOST_GONE = "lab_blind", "host_blind", "host_gone"
LAB_GPU_LIMIT, LAB_FEED, REMOTE = "lab_gpu_limit", "lab_feed", "remote"
AGE = "max_etime"
GROUPED_FROM = 6  # hosts that do not answer from which on one alert stands for all
BLIND_POLLS = 3
REMOTE_CLEAR = 5 * MINUTE
REMOTE_KEPT = 2 * HOUR  # for which one that is over is still known: longer than any alert takes to end
MOST_REMOTE = 5000


class LabHistory(Struct, frozen=True):
    """
    What the rules about a lab remember from poll to poll.

    `hosts` have details; one alert stands for the `crowd` of hosts that do not answer, until all of it does
    (None: for those that do not now); `remote` has the subject of each remote alert, with when it was last
    there; None: not since the start. `witnesses` has, by the subject of one without a host, the hosts that
    were on the list with it; `starts`, by the host's prefix, when one's oldest process began, as first told.
    """

    hosts: Mapping[str, RuleHistory] = field(default_factory=dict)
    crowd: frozenset[str] | None = frozenset()
    remote: Mapping[str, Instant | None] = field(default_factory=dict)
    witnesses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    starts: Mapping[str, float] = field(default_factory=dict)

    def is_over(self, subject: str, view: LabView) -> bool:
        """Tell whether `view` shows that a remote alert is over, of which it has nothing."""
        return view.tells_end_of(remote_of(subject), self.witnesses.get(subject))


class LabFacts(Struct, frozen=True):
    """
    A view of the lab, completed, with what is known besides.

    `mine` has the hosts on which one computed when they were last OK.
    """

    view: LabView
    limits: Limits
    lab: LabLimits
    mine: frozenset[str] = frozenset()
    history: LabHistory = LabHistory()

    def concerns(self, host: str) -> bool:
        """Tell whether what happens to this host is told."""
        return self.lab.every_host or host in self.lab.pins or host in self.mine

    @property
    def unread(self) -> tuple[HostView, ...]:
        """The hosts of which nothing is known now, those that are gone aside."""
        return tuple(host for host in self.view.hosts if host.state not in {HostState.OK, HostState.GONE})


class LabRule(Struct, frozen=True):
    """A rule about the lab: its title, how it judges, its terms, and the setting that switches it off."""

    title: str
    judge: Callable[[LabFacts], Verdict]
    terms: Callable[[LabFacts], Terms]
    severities: tuple[Severity, ...]
    key: str = ""


def host_prefix(host: str) -> str:
    """Return what the subjects about a host begin with; no other host's name begins so."""
    return f"{quote(host, safe=':@')}/"


def host_of(subject: str) -> str:
    """Return the host that a subject is about; empty for none."""
    return unquote(subject.partition("/")[0]) if "/" in subject else ""


def recalled(alerts: Iterable[Alert]) -> LabHistory:
    """Return the history to begin with, from the alerts on file."""
    stored = list(alerts)
    return LabHistory(
        crowd=None
        if any(alert.rule == HOST_BLIND and not alert.subject for alert in stored)
        else frozenset(),
        remote={alert.subject: None for alert in stored if alert.rule == REMOTE},
        starts={
            f"{host}/": float(start)
            for host, _slash, start in (alert.subject.partition("/") for alert in stored if alert.rule == AGE)
            if start.isdecimal()
        },
    )


# --- the lab and its hosts --------------------------------------------------------------------------------


def judge_lab_blind(facts: LabFacts) -> Verdict:
    """Warn when nothing is known of the lab; critical after 10 minutes. Mutes all others."""
    threshold = _("nothing is known of the lab")
    problem = lab_problem(facts.view)
    if not problem:
        return Verdict(LAB_BLIND, value=_("the lab can be read"), threshold=threshold)
    text = _("The lab cannot be read: {problem}").format(problem=problem)
    finding = Finding(LAB_BLIND, "", Severity.WARNING, f"LAB_BLIND: {problem}", text=text)
    return Verdict(LAB_BLIND, (finding,), value=text, threshold=threshold)


def lab_problem(view: LabView) -> str:
    """Say why nothing is known of the lab; empty where something is."""
    if view.problem is not None:
        return str(view.problem)
    return "" if view.hosts else _("no host is known")


def judge_host_blind(facts: LabFacts) -> Verdict:
    """Warn of hosts that do not answer, or cannot read their GPUs; from 6 on in one alert, until all do."""
    threshold = _("a host does not answer, or cannot read its GPUs")
    if problem := lab_problem(facts.view):
        return Verdict(HOST_BLIND, unknown=problem, threshold=threshold)
    unread = facts.unread
    told = [host for host in unread if facts.concerns(host.name)]
    every = len(facts.view.hosts)
    value = _("{count} of {every} hosts do not answer").format(count=len(unread), every=every)
    # What does not answer and is not among the findings stays as it is: it has not come back. Nor has one
    # that was taken off the list since.
    band = frozenset(host_prefix(host.name) for host in facts.view.hosts if host.state is not HostState.OK)
    if crowd(facts):
        finding = Finding(HOST_BLIND, "", Severity.WARNING, f"HOSTS_BLIND: {value}", text=_crowd(facts, told))
        findings: tuple[Finding, ...] = (finding,) if told else ()
        return Verdict(HOST_BLIND, findings, band=band | {""}, value=value, threshold=threshold)
    findings = tuple(
        Finding(
            HOST_BLIND,
            host_prefix(host.name),
            Severity.WARNING,
            f"HOST_BLIND({host.name}): {host.state.value} {host.reason}".rstrip(),
            text=blind_text(host),
        )
        for host in told
    )
    fired = {finding.subject for finding in findings}
    return Verdict(HOST_BLIND, findings, band=band - fired, value=value, threshold=threshold)


def crowd(facts: LabFacts) -> frozenset[str]:
    """Return the hosts for which one alert stands after this view; empty where each has its own."""
    before = facts.history.crowd
    if lab_problem(facts.view):
        return before or frozenset()
    lost = frozenset(host.name for host in facts.view.hosts if host.state is not HostState.OK)
    left = lost if before is None else before & lost
    told = sum(1 for host in facts.unread if facts.concerns(host.name))
    return left | {host.name for host in facts.unread} if left or told >= GROUPED_FROM else frozenset()


def blind_text(host: HostView) -> str:
    """Say in a sentence what is wrong with a host."""
    texts = {
        HostState.DOWN: N_("{host} does not answer"),
        HostState.BLIND: N_("{host} cannot read its GPUs"),
        HostState.STALE: N_("the data of {host} are too old"),
        HostState.UNKNOWN: N_("nothing is known of {host}"),
        HostState.GONE: N_("{host} is no longer on the list of hosts"),
        HostState.OK: N_("{host} answers"),
    }
    said = _(texts[host.state]).format(host=host.name)
    return _("{said}: {why}").format(said=said, why=host.reason) if host.reason else said


def _crowd(facts: LabFacts, told: list[HostView]) -> str:
    names = listed([host.name for host in told])
    text = _("{count} of {every} hosts do not answer: {names}")
    return text.format(count=len(told), every=len(facts.view.hosts), names=names)


def judge_host_gone(facts: LabFacts) -> Verdict:
    """Inform of hosts that are no longer on the list; over once they are back, or are forgotten."""
    gone = [host for host in facts.view.hosts if host.state is HostState.GONE]
    findings = tuple(
        Finding(
            HOST_GONE,
            host_prefix(host.name),
            Severity.INFO,
            f"HOST_GONE({host.name})",
            text=_("{said} (if it was taken off on purpose: gpuwatch-tray alerts forget {host})").format(
                said=blind_text(replace(host, reason="")), host=host.name
            ),
        )
        for host in gone
        if facts.concerns(host.name)
    )
    band = {host_prefix(host.name) for host in gone} - {finding.subject for finding in findings}
    threshold = _("a host is no longer on the list of hosts")
    # One whose state is not known has not come back.
    verdict = Verdict(HOST_GONE, findings, band=frozenset(band), value=_count(len(gone)), threshold=threshold)
    return left_open(verdict, facts)


def judge_lab_gpu_limit(facts: LabFacts) -> Verdict:
    """Warn when one's processes are on more than LAB_GPU_LIMIT GPUs, over all hosts."""
    limit = facts.lab.gpu_limit
    if limit is None:
        return Verdict(LAB_GPU_LIMIT)
    counts = {host.name: host.mine for host in facts.view.hosts}
    known = {name: count for name, count in counts.items() if not isinstance(count, Missing)}
    total = sum(known.values())
    threshold = _("your processes are on more than {limit} GPUs of the lab").format(limit=limit)
    value = ngettext("{count} GPU in use", "{count} GPUs in use", total).format(count=total)
    if total > limit:
        where = ", ".join(f"{name} {count}" for name, count in sorted(known.items()) if count)
        reason = f"LAB_GPU_LIMIT: gpu_count={total} > {limit} ({where})"
        text = _("Your processes are on {count} GPUs of the lab, more than {limit}: {where}")
        text = text.format(count=total, limit=limit, where=where)
        finding = Finding(LAB_GPU_LIMIT, "", Severity.WARNING, reason, float(total), text)
        return Verdict(LAB_GPU_LIMIT, (finding,), value=value, threshold=threshold)
    missing = sorted(counts.keys() - known.keys())
    unknown = None
    if missing or lab_problem(facts.view):
        unknown = lab_problem(facts.view) or _("your GPUs are not known on {hosts}").format(
            hosts=listed(missing)
        )
    return Verdict(LAB_GPU_LIMIT, unknown=unknown, value=value, threshold=threshold)


# --- the Alertmanager -------------------------------------------------------------------------------------


def judge_lab_feed(facts: LabFacts) -> Verdict:
    """Warn when an Alertmanager is configured and what it says cannot be believed."""
    threshold = _("the Alertmanager does not answer, or alerts do not reach it")
    feed, text = facts.view.feed, feed_text(facts.view)
    if not text:
        return Verdict(
            LAB_FEED, value=_("the Alertmanager answers, and has the alerts that fire"), threshold=threshold
        )
    if feed is FeedState.UNKNOWN:
        return Verdict(LAB_FEED, unknown=text, threshold=threshold)
    finding = Finding(LAB_FEED, "", Severity.WARNING, f"LAB_FEED: {feed.value}", text=text)
    return Verdict(LAB_FEED, (finding,), value=text, threshold=threshold)


def feed_text(view: LabView) -> str:
    """Say why what the Alertmanager says cannot be believed; empty where it can, or where there is none."""
    if view.feed is FeedState.UNKNOWN:
        return view.feed_problem or _("it is not known yet whether alerts reach the Alertmanager")
    text = {
        FeedState.UNFED: _("Alerts do not reach the Alertmanager"),
        FeedState.UNREACHABLE: _("The Alertmanager does not answer"),
    }.get(view.feed, "")
    return _("{said}: {why}").format(said=text, why=view.feed_problem) if text and view.feed_problem else text


def remote_subject(alert: RemoteAlert) -> str:
    """Return the subject of an alert of the Alertmanager; its fingerprint alone tells two apart."""
    return f"{host_prefix(alert.host)}{alert.fingerprint}/{alert.name}"


def remote_of(subject: str) -> RemoteAlert:
    """Return what the subject says of a remote alert: its host, fingerprint and name."""
    host, fingerprint, name = [*subject.split("/", 2), "", ""][:3]
    return RemoteAlert(fingerprint, name, unquote(host), Severity.INFO, "", 0.0)


def judge_remote(facts: LabFacts) -> Verdict:
    """Tell the alerts that an Alertmanager has; each is over only where the data that show it are there."""
    view, findings, band = facts.view, [], set()
    ours = facts.mine | facts.lab.pins
    for alert in view.alerts:
        subject = remote_subject(alert)
        # Of a host that does not answer nobody tells who computes there.
        told = facts.lab.all_alerts or alert.mine is True or alert.host in ours
        # What is silenced for everyone, or was told by its host already, is no news; nor is it over.
        if not told or alert.silences or alert.inhibited or _told_by_host(alert, view):
            band.add(subject)
            continue
        said = alert.text or alert.name
        text = f"{alert.host}: {said}" if alert.host and alert.host not in said else said
        findings.append(Finding(REMOTE, subject, alert.severity, f"REMOTE({alert.name}): {text}", text=text))
    there = {remote_subject(alert) for alert in view.alerts}
    lost = [
        subject
        for subject in facts.history.remote
        if subject not in there and not facts.history.is_over(subject, view)
    ]
    value = ngettext("{count} alert", "{count} alerts", len(view.alerts)).format(count=len(view.alerts))
    unknown = None
    if lost or lab_problem(view) or view.feed not in {FeedState.NONE, FeedState.FED}:
        unknown = lab_problem(view) or view.feed_problem or _("it is not known whether it is over")
    everything = bool(lab_problem(view)) or view.feed not in {FeedState.NONE, FeedState.FED}
    return Verdict(
        REMOTE,
        tuple(findings),
        unknown,
        ("",) if everything else tuple(lost) or ("",),
        frozenset(band),
        value,
        _("an Alertmanager has an alert"),
    )


def _told_by_host(alert: RemoteAlert, view: LabView) -> bool:
    """Return whether it only repeats what a rule of its host has found, judged from the same data."""
    labels = dict(alert.labels)
    if not alert.name.startswith("Gpuwatch") or not labels.get("rule"):
        return False
    found = next((host.firing for host in view.hosts if host.name == alert.host), ())
    if isinstance(found, Missing):
        return False
    return any(one.rule == labels["rule"] and one.gpu == labels.get("gpu", "") for one in found)


def remembered(facts: LabFacts, now: Instant) -> Mapping[str, Instant | None]:
    """Return which remote alerts are remembered after this view, with when each was last there or unknown."""
    view = facts.view
    there: dict[str, Instant | None] = {remote_subject(alert): now for alert in view.alerts}
    kept = dict(facts.history.remote)
    for subject, at in facts.history.remote.items():
        if at is None or not facts.history.is_over(subject, view):
            kept[subject] = now
        elif now.since(at) > REMOTE_KEPT:
            del kept[subject]
    return dict(list({**kept, **there}.items())[-MOST_REMOTE:])


def seen_with(facts: LabFacts) -> Mapping[str, frozenset[str]]:
    """Return the hosts that were on the list when an alert without a host was last there, by its subject."""
    view, known = facts.view, facts.history.remote
    kept = {subject: hosts for subject, hosts in facts.history.witnesses.items() if subject in known}
    if lab_problem(view):
        return kept
    hosts = frozenset(host.name for host in view.hosts if host.state is not HostState.GONE)
    return {**kept, **{remote_subject(alert): hosts for alert in view.alerts if not alert.host}}


def left_open(verdict: Verdict, facts: LabFacts, *but: HostState) -> Verdict:
    """Leave open what it says of hosts in another state than `but`; all of it where nothing is known."""
    problem = lab_problem(facts.view)
    if problem:
        return replace(verdict, findings=(), unknown=problem, unknown_subjects=("",))
    but = but or (HostState.OK, HostState.GONE)
    hosts = [host.name for host in facts.view.hosts if host.state not in but]
    if not hosts:
        return verdict
    line = _("not known on {hosts}").format(hosts=listed(hosts))
    subjects = () if verdict.unknown is None else verdict.unknown_subjects
    return replace(
        verdict,
        unknown="; ".join(filter(None, (verdict.unknown, line))),
        unknown_subjects=(*subjects, *map(host_prefix, hosts)),
    )


def _count(count: int) -> str:
    return ngettext("{count} host", "{count} hosts", count).format(count=count)


# --- the table --------------------------------------------------------------------------------------------


def _blind_terms(facts: LabFacts, critical_after: float | None = None) -> Terms:
    hold = max(facts.limits.faults.blind_hold or 0.0, BLIND_POLLS * facts.lab.poll)
    return Terms(hold=hold, hold_samples=2, clear_samples=2, critical_after=critical_after)


WARNING, CRITICAL, INFO = Severity.WARNING, Severity.CRITICAL, Severity.INFO
# fmt: off
LAB_RULES: dict[str, LabRule] = {
    LAB_BLIND: LabRule(N_("The lab cannot be read"), judge_lab_blind,
        lambda facts: _blind_terms(facts, 10 * MINUTE), (WARNING, CRITICAL), "BLIND_SEC"),
    HOST_BLIND: LabRule(N_("Hosts do not answer"), judge_host_blind,
        _blind_terms, (WARNING,), "BLIND_SEC"),
    HOST_GONE: LabRule(N_("A host is gone"), judge_host_gone,
        lambda _facts: Terms(hold_samples=2), (INFO,), "LAB_HOSTS"),
    LAB_GPU_LIMIT: LabRule(N_("More GPUs of the lab in use than the limit"), judge_lab_gpu_limit,
        lambda _facts: Terms(), (WARNING,), "LAB_GPU_LIMIT"),
    LAB_FEED: LabRule(N_("Alertmanager: alerts may be missing"), judge_lab_feed,
        _blind_terms, (WARNING,), "LAB_ALERTMANAGER"),
    REMOTE: LabRule(N_("An alert of the lab"), judge_remote,
        lambda _facts: Terms(clear=REMOTE_CLEAR, clear_samples=2), (INFO, WARNING, CRITICAL),
        "LAB_ALERTMANAGER"),
}
# fmt: on
