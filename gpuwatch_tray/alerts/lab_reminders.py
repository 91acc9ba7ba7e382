"""
The steps of reminders about a lab: GPUs that are free on its hosts, and a process that ends on one. Pure.

A host that is not OK has no free GPU and no process that has ended: nothing is known of it.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray.alerts.reminder_types import LabGpusFree, LabProcessEnds
from gpuwatch_tray.common.ssh_command import ssh_command
from gpuwatch_tray.common.text import NAMED, listed
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import (
    SAME_START,
    UNSUPPORTED,
    HostState,
    Missing,
    ReminderNotice,
    RoomWanted,
    known,
)
from gpuwatch_tray.model.units import duration, memory_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gpuwatch_tray.alerts.reminder_types import Observation, Reminder
    from gpuwatch_tray.model import Gpu, GpuProcess, HostView, Instant, LabView, Snapshot


EVERY_HOST = "*"  # `on` of a wait for any host of the lab
MOST_ROOM = 8  # amounts of memory that are asked for at a time


def matches(pattern: str, host: str) -> bool:
    """Tell whether a host is one of those that `--on` names: patterns with commas or blanks between them."""
    return any(fnmatchcase(host, part) for part in pattern.replace(",", " ").split())


def free_on(host: HostView, condition: LabGpusFree) -> int:
    """Count the GPUs of a host that are known to be free, and have the memory that is wanted."""
    if host.state is not HostState.OK:
        return 0
    free = known(host.looks_free if condition.looks and isinstance(host.free, Missing) else host.free)
    if free is None or not condition.memory:
        return free or 0
    if host.detail is not None:
        return sum(1 for gpu in _free(host.detail) if _room(gpu) >= condition.memory)
    return min(free, dict(host.roomy).get(condition.memory, 0))


def room_wanted(reminders: Iterable[Reminder]) -> tuple[RoomWanted, ...]:
    """Return what is to be asked of hosts without details, once for each amount of memory."""
    least: dict[int, int] = {}
    for reminder in reminders:
        condition = reminder.condition
        if isinstance(condition, LabGpusFree) and condition.memory and reminder.notice is None:
            wanted = 1 if condition.spread else condition.count
            least[condition.memory] = min(wanted, least.get(condition.memory, wanted))
    return tuple(RoomWanted(memory, count) for memory, count in sorted(least.items())[:MOST_ROOM])


def hosts_awaited(reminders: Iterable[Reminder]) -> frozenset[str]:
    """Return the hosts to ask GPU by GPU: where a process is waited for, or GPUs are about to be told."""
    hosts: set[str] = set()
    for reminder in reminders:
        condition = reminder.condition
        if reminder.notice is not None:
            continue
        if isinstance(condition, LabProcessEnds):
            hosts.add(condition.host)
        elif isinstance(condition, LabGpusFree):
            hosts.update(_with_enough(condition))
    return frozenset(hosts)


def _with_enough(condition: LabGpusFree) -> Sequence[str]:
    """Return the hosts that had enough free GPUs at the last observation, those with the most first."""
    free = Counter(slot.partition("@")[2] for slot, _since in condition.since)
    return list(_enough(condition, free))[:NAMED]


def _enough(condition: LabGpusFree, free: Mapping[str, int]) -> dict[str, int]:
    """Return the hosts that have enough free GPUs, those with the most first; none where it is too few."""
    enough = {name: count for name, count in free.items() if condition.spread or count >= condition.count}
    if sum(enough.values()) < condition.count:
        return {}
    return dict(sorted(enough.items(), key=lambda item: (item[1], item[0]), reverse=True))


def why_never_free(condition: LabGpusFree, view: LabView) -> str:
    """Say why no waiting brings these GPUs; empty where it may."""
    hosts = [host for host in view.hosts if matches(condition.on, host.name)]
    if not hosts:
        names = ", ".join(host.name for host in view.hosts[:20])
        return _("no host is called {pattern} (there are: {names})").format(pattern=condition.on, names=names)
    well = [host for host in hosts if host.state is HostState.OK]
    if len(well) < len(hosts):
        return ""  # what the others have is not known
    where = _where(condition)
    sizes = [known(host.gpus) for host in well]
    if all(size is None for size in sizes) and not condition.looks:
        text = _("which GPUs are free on {hosts} cannot be known: a list names processes, not idle GPUs")
        return text.format(hosts=where)
    if not condition.looks and all(host.free == UNSUPPORTED for host in well):
        text = _(
            "no exporter tells which GPUs are free on {hosts}: with LAB_LOOKS_FREE=on in lab.env, "
            "those that look free count"
        )
        return text.format(hosts=where)
    told = [size for size in sizes if size is not None]
    most = sum(told) if condition.spread else max(told, default=0)
    if len(told) == len(sizes) and most < condition.count:
        text = ngettext(
            "none of {hosts} has more than {count} GPU", "none of {hosts} has more than {count} GPUs", most
        )
        if condition.spread:
            text = ngettext(
                "there is only {count} GPU on {hosts}", "there are only {count} GPUs on {hosts}", most
            )
        return text.format(count=most, hosts=where)
    return ""


def _where(condition: LabGpusFree) -> str:
    return _("the hosts of the lab") if condition.on == EVERY_HOST else condition.on


def _free(snapshot: Snapshot) -> Sequence[Gpu]:
    return tuple((snapshot.free_gpus or {}).values())


def _room(gpu: Gpu) -> int:
    total, used = known(gpu.memory_total), known(gpu.memory_used)
    return 0 if total is None or used is None else total - used


def step_lab_free(
    condition: LabGpusFree, observation: Observation
) -> tuple[LabGpusFree, ReminderNotice | None]:
    """Note since when how many GPUs of which host are free; the notice once enough have been for long."""
    view = observation.lab
    if view is None or view.problem is not None:
        return replace(condition, since=()), None  # what happens meanwhile is not known
    now = observation.now
    held = dict(condition.since) if observation.follows(condition.seen) else {}
    slots: dict[str, Instant] = {}
    long: dict[str, int] = {}
    for host in view.hosts:
        if not matches(condition.on, host.name):
            continue
        for number in range(1, free_on(host, condition) + 1):
            slot = f"{number}@{host.name}"
            slots[slot] = held.get(slot, now)
            # Two observations are needed: a GPU between two jobs is free for a moment. A reading that is told
            # again is no observation of what came after it.
            if slot in held and now.since(held[slot]) - host.still >= condition.hold:
                long[host.name] = number
    stepped = replace(condition, since=tuple(slots.items()), seen=now)
    enough = _enough(condition, long)
    if not enough:
        return stepped, None
    told = enough if condition.spread else dict([*enough.items()][:1])
    return stepped, _notice(condition, told, view, observation)


def _notice(
    condition: LabGpusFree, found: dict[str, int], view: LabView, observation: Observation
) -> ReminderNotice:
    names = sorted(found)
    where = listed([f"{name} ({found[name]})" for name in names])
    count = sum(found.values())
    sure = all(not isinstance(host.free, Missing) for host in view.hosts if host.name in found)
    text = ngettext("{count} GPU is free on {hosts}", "{count} GPUs are free on {hosts}", count)
    if not sure:
        text = ngettext(
            "{count} GPU looks free on {hosts}: its processes are not known",
            "{count} GPUs look free on {hosts}: their processes are not known",
            count,
        )
    named = ((name, _free_gpus_of(view, name, condition.memory)) for name in names)
    details = [_("{host}: {gpus}").format(host=name, gpus=gpus) for name, gpus in named if gpus][:NAMED]
    details += filter(None, map(ssh_command, names[:NAMED]))
    title = _("GPU free") if condition.count == 1 else _("{count} GPUs free").format(count=condition.count)
    said = text.format(count=count, hosts=where)
    return ReminderNotice(title, said, observation.now.wall, tuple(details))


def _free_gpus_of(view: LabView, host: str, memory: int) -> str:
    """Name the free GPUs of a host that have the memory; empty where it was not asked GPU by GPU."""
    snapshot = detail_of(view, host)
    free = () if snapshot is None else _free(snapshot)
    return ", ".join(_gpu(gpu) for gpu in free if _room(gpu) >= memory)


def _gpu(gpu: Gpu) -> str:
    name = known(gpu.name)
    return f"GPU {gpu.index} ({name})" if name else f"GPU {gpu.index}"


def describe_lab_free(condition: LabGpusFree) -> str:
    """Put the condition into one line."""
    everywhere = condition.on == EVERY_HOST
    if condition.spread and everywhere:
        text = ngettext(
            "{count} GPU is free in the lab for {span}",
            "{count} GPUs are free on all hosts of the lab together for {span}",
            condition.count,
        )
    elif condition.spread:
        text = ngettext(
            "{count} GPU is free over all of {hosts} for {span}",
            "{count} GPUs are free over all of {hosts} for {span}",
            condition.count,
        )
    elif everywhere:
        text = ngettext(
            "{count} GPU is free on a host of the lab for {span}",
            "{count} GPUs are free on one host of the lab for {span}",
            condition.count,
        )
    else:
        text = ngettext(
            "{count} GPU is free on {hosts} for {span}",
            "{count} GPUs are free on one of {hosts} for {span}",
            condition.count,
        )
    said = text.format(count=condition.count, hosts=condition.on, span=duration(condition.hold))
    if condition.looks:
        said = _("{said} (GPUs that look free count)").format(said=said)
    if not condition.memory:
        return said
    return _("{said}, with {memory} each").format(said=said, memory=memory_text(condition.memory))


def find(condition: LabProcessEnds, snapshot: Snapshot) -> tuple[GpuProcess, ...]:
    """Return the entries of this very process in a host's lists."""
    return tuple(
        process
        for process in snapshot.processes
        if process.pid == condition.pid
        and (
            condition.started is None
            or isinstance(process.started, Missing)
            or abs(process.started - condition.started) < SAME_START
        )
    )


def devices_of(entries: Iterable[GpuProcess], snapshot: Snapshot) -> tuple[str, ...]:
    """Return the UUIDs of the GPUs on which these entries of a host's lists are, as far as they are told."""
    used = {entry.gpu for entry in entries}
    uuids = {gpu.uuid for gpu in snapshot.gpus if gpu.index in used and not gpu.physical}
    return tuple(sorted(uuids - {""}))


def step_lab_process(
    condition: LabProcessEnds, observation: Observation
) -> tuple[LabProcessEnds, ReminderNotice | None]:
    """Note that the process is there; the notice once its host is well and it is not."""
    snapshot = None if observation.lab is None else detail_of(observation.lab, condition.host)
    if snapshot is None or snapshot.problem is not None:
        return condition, None
    entries = find(condition, snapshot)
    if entries:
        devices = devices_of(entries, snapshot) or condition.devices
        elapsed = known(entries[0].elapsed)
        return replace(condition, elapsed=elapsed, seen=observation.now, devices=devices), None
    if any(gpu.problem is not None or gpu.process_problem is not None for gpu in snapshot.gpus):
        return condition, None  # it may be on the list with the gap
    if not {gpu.uuid for gpu in snapshot.gpus}.issuperset(condition.devices):
        return condition, None  # its GPU is not told of any more, or another machine answers to the name
    text = _("{host}: PID {pid} ({command}) has ended")
    span = ""
    if condition.elapsed is not None:
        text = _("{host}: PID {pid} ({command}) has ended; when last seen it had run for {span}")
        span = duration(condition.elapsed)
    said = text.format(host=condition.host, pid=condition.pid, command=condition.called, span=span)
    return condition, ReminderNotice(_("Process ended"), said, observation.now.wall)


def detail_of(view: LabView, host: str) -> Snapshot | None:
    """Return a host GPU by GPU, where it is OK and was asked so."""
    if view.problem is not None:
        return None
    found = next((one for one in view.hosts if one.name == host and one.state is HostState.OK), None)
    if found is None:
        return None
    return dict(view.details).get(host, found.detail)


def describe_lab_process(condition: LabProcessEnds) -> str:
    """Put the condition into one line."""
    text = _("PID {pid} ({command}) on {host} ends")
    return text.format(pid=condition.pid, command=condition.called, host=condition.host)
