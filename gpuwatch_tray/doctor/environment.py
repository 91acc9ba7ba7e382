"""The checks of the machine and the session: desktop, presence, driver, GPUs, and the running program."""

from __future__ import annotations

import re
import sys
import time
from contextlib import closing
from importlib import metadata
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpuwatch_tray import ipc, rules
from gpuwatch_tray.common import redact
from gpuwatch_tray.desktop import presence
from gpuwatch_tray.desktop.dbus import (
    DAEMON,
    BusUnavailableError,
    DBusCallError,
    SessionBus,
    session_address,
    temporary_session,
)
from gpuwatch_tray.doctor.output import CheckResult, ok, problem, warning
from gpuwatch_tray.i18n import _, ngettext
from gpuwatch_tray.model import Presence, known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gpuwatch_tray.ipc.lock import LockHolder
    from gpuwatch_tray.model import Gpu, Limits, Snapshot
    from gpuwatch_tray.sources import Source


PRESENCE_TOPIC = "presence"
PRESENCE_TIMEOUT = 3.0  # seconds for the first source to answer
PRESENCE_POLL = 0.1  # seconds


def check_presence(bus: SessionBus | None, environ: Mapping[str, str], away: float) -> Iterator[CheckResult]:
    """Check whether a source answers within a few seconds."""
    with closing(presence.start_detector(bus, environ, away)) as detector:
        until = time.monotonic() + PRESENCE_TIMEOUT
        while detector.check().presence is Presence.UNKNOWN and time.monotonic() < until:
            time.sleep(PRESENCE_POLL)
        answer, *sources = (redact.text(line) for line in detector.sources())
        is_known = detector.check().presence is not Presence.UNKNOWN
        listening = detector.listening()
    if is_known:
        yield ok(PRESENCE_TOPIC, answer)
        return
    if listening:
        text = _("known from {source} once the program has run for a while")
        yield ok(PRESENCE_TOPIC, text.format(source=listening))
        return
    text = _("cannot tell whether you are at the desk: {sources}").format(sources="; ".join(sources))
    mend = _(
        "mail is sent after ESCALATE_MIN without an answer; a compositor without "
        "ext-idle-notify needs swayidle"
    )
    yield warning(PRESENCE_TOPIC, text, mend)


TRAY_TOPIC, POPUPS_TOPIC = "tray", "popups"
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
NATIVE_SYSTEMS = {"win32": "Windows", "darwin": "macOS"}  # where pystray uses the system's own tray
CONNECT_TIMEOUT, ANSWER_TIMEOUT = 3.0, 2.0  # seconds
# The process of one plugin of xfce4-panel, as it names itself: up to 4.18, and since.
_XFCE_PLUGIN = re.compile(r"^(?:panel-\d+-.*|wrapper-\d.*)$")


def check_desktop(
    environ: Mapping[str, str], away: float, program: Callable[[int], str]
) -> Iterator[CheckResult]:
    """Check tray, popups and presence in bounded time; `program` returns the name of a PID's process."""
    if sys.platform in NATIVE_SYSTEMS:
        yield ok(TRAY_TOPIC, _("drawn by {system} itself").format(system=NATIVE_SYSTEMS[sys.platform]))
        yield from check_presence(None, environ, away)
        return
    screen = any(environ.get(name) for name in DISPLAYS)
    try:
        with temporary_session(session_address(environ), timeout=CONNECT_TIMEOUT) as bus:
            yield _check_tray(bus, environ, program, screen=screen)
            yield from _check_popups(bus, screen=screen)
            yield from check_presence(bus, environ, away)
    except BusUnavailableError as error:
        why = redact.text(str(error))
        if screen:
            text = _("{why}: falling back to pystray's icons, without popup buttons").format(why=why)
            yield warning(TRAY_TOPIC, text, _("start it in the desktop's own session"))
        else:
            text = _("no desktop here ({why}): `gpuwatch-tray` watches in the terminal").format(why=why)
            yield ok(TRAY_TOPIC, text)
        yield from check_presence(None, environ, away)


def _check_tray(
    bus: SessionBus, environ: Mapping[str, str], program: Callable[[int], str], *, screen: bool
) -> CheckResult:
    from gpuwatch_tray.tray.backends.statusnotifier import (
        WATCHER,
        panel_advice,  # loads dbus-fast
    )

    try:
        (owner,) = bus.call(DAEMON, "GetNameOwner", "s", [WATCHER], timeout=ANSWER_TIMEOUT)
    except DBusCallError as error:
        if error.name and not screen:
            return ok(TRAY_TOPIC, _("no desktop here: `gpuwatch-tray` watches in the terminal"))
        if error.name:
            return problem(TRAY_TOPIC, _("no program here can show tray icons"), panel_advice(environ))
        return problem(TRAY_TOPIC, str(error), _("the session bus does not answer: log out and in again"))
    try:
        (pid,) = bus.call(DAEMON, "GetConnectionUnixProcessID", "s", [owner], timeout=ANSWER_TIMEOUT)
    except DBusCallError:
        return ok(TRAY_TOPIC, _("tray icons are shown"))
    name = _XFCE_PLUGIN.sub("xfce4-panel", program(int(pid))) or "?"
    return ok(TRAY_TOPIC, _("tray icons are shown by {program} (PID {pid})").format(program=name, pid=pid))


def _check_popups(bus: SessionBus, *, screen: bool) -> Iterator[CheckResult]:
    from gpuwatch_tray.notify.desktop_popups import NOTIFICATIONS

    began = time.monotonic()
    try:
        (abilities,) = bus.call(NOTIFICATIONS, "GetCapabilities", timeout=ANSWER_TIMEOUT)
    except DBusCallError as error:
        if not screen and time.monotonic() - began < ANSWER_TIMEOUT:
            return  # no desktop, no popups
        text = _("no notification server answers: {why}").format(why=redact.text(str(error)))
        mend = _(
            "start one (the desktop's own, dunst, mako ...); until then only the icon and mails show alerts"
        )
        yield warning(POPUPS_TOPIC, text, mend)
        return
    try:
        name, _vendor, version, _spec = bus.call(
            NOTIFICATIONS, "GetServerInformation", timeout=ANSWER_TIMEOUT
        )
    except DBusCallError:
        name, version = "?", ""
    able = redact.text(", ".join(sorted(map(str, abilities))))
    server = redact.text(f"{name} {version}".rstrip())
    if "actions" in abilities:
        yield ok(POPUPS_TOPIC, f"{server} ({able})")
    else:
        text = _("{server} shows no buttons ({able})").format(server=server, able=able)
        yield warning(POPUPS_TOPIC, text, _("use Acknowledge and Snooze in the menu instead"))


PYNVML_TOPIC = "pynvml"
OFFICIAL, ABANDONED = "nvidia-ml-py", "pynvml"
LAST_OWN = 11  # the package pynvml had a module of its own up to 11.5.3
REINSTALL = "pip uninstall pynvml; pip install --force-reinstall nvidia-ml-py"


def installed_version(name: str) -> str:
    """Return the version of a distribution, empty where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def check_pynvml(version: Callable[[str], str] = installed_version) -> Iterator[CheckResult]:
    """Check that NVIDIA's package is installed, and that no abandoned one of the same name hides it."""
    official, abandoned = version(OFFICIAL), version(ABANDONED)
    if official:
        yield ok(PYNVML_TOPIC, _("from {package} {version}").format(package=OFFICIAL, version=official))
    else:
        text = _("the Python package {package} is missing").format(package=OFFICIAL)
        yield problem(PYNVML_TOPIC, text, f"pip install {OFFICIAL}")
    if not abandoned:
        return
    major = abandoned.partition(".")[0]
    if major.isdecimal() and int(major) > LAST_OWN:
        text = _("the package {package} {version} is installed too; this does no harm")
        yield ok(PYNVML_TOPIC, text.format(package=ABANDONED, version=abandoned))
    else:
        text = _("the abandoned package {package} {version} hides NVIDIA's")
        yield problem(PYNVML_TOPIC, text.format(package=ABANDONED, version=abandoned), REINSTALL)


def check_gpus(snapshot: Snapshot, limits: Limits) -> Iterator[CheckResult]:
    """Check what can be read of each GPU, and which of the rules that are on can fire on it."""
    for gpu in snapshot.gpus:
        topic = f"GPU {gpu.index}"
        if gpu.problem is not None:
            yield problem(topic, redact.text(f"{_gpu_name(gpu)}: {gpu.problem}"))
            continue
        if gpu.process_problem is not None:
            text = _("{name}: its processes cannot be read: {why}")
            yield warning(topic, redact.text(text.format(name=_gpu_name(gpu), why=gpu.process_problem)))
        if not gpu.physical:
            yield ok(topic, f"{_gpu_name(gpu)}: {_rules_text(_snapshot_of(snapshot, gpu), limits)}")


def _snapshot_of(snapshot: Snapshot, gpu: Gpu) -> Snapshot:
    """Return the snapshot as if this GPU, with its MIG devices, were the only one."""
    kept = tuple(
        other for other in snapshot.gpus if other is gpu or (gpu.uuid and other.physical == gpu.uuid)
    )
    processes = tuple(process for process in snapshot.processes if process.gpu in (gpu.index, None))
    return replace(snapshot, gpus=kept, processes=processes)


def _rules_text(snapshot: Snapshot, limits: Limits) -> str:
    if snapshot.gpus[0].asleep:
        return _("suspended by the system; not woken up for this check")
    verdicts = rules.judge(snapshot, limits)
    never = {verdict.rule: verdict.cannot for verdict in verdicts if verdict.cannot}
    able = len(verdicts) - len(never)
    text = _("{able} of {all} rules can fire").format(able=able, all=len(verdicts))
    if not never:
        return text
    whys = [f"{rule} ({'; '.join(lines)})" for rule, lines in never.items()]
    return f"{text}; " + _("cannot fire: {rules}").format(rules=redact.text(", ".join(whys)))


def _gpu_name(gpu: Gpu) -> str:
    return redact.visible(known(gpu.name) or gpu.uuid or "?")


DRIVER_TOPIC, EVENTS_TOPIC = "driver", "Xid errors"
# The first read has no events, the second registers for them, by the third the driver has refused or not.
READS = 3
READ_INTERVAL = 0.3  # seconds


def check_driver(
    source: Source, versions: Callable[[], str], limits: Limits, pause: Callable[[float], None] = time.sleep
) -> Iterator[CheckResult]:
    """Check the driver, each GPU and the Xid events; closes `source`. It may hang as the driver does."""
    with closing(source):
        snapshot = source.read()
        for _round in range(READS - 1):
            if snapshot.problem is None and not snapshot.simulated and not snapshot.no_events:
                pause(READ_INTERVAL)
                snapshot = source.read()
        yield from _check_source(snapshot, versions)
        if snapshot.problem is not None:
            return
        yield from check_gpus(snapshot, limits)
        if snapshot.source == "nvml":
            yield _check_events(snapshot)


def _check_source(snapshot: Snapshot, versions: Callable[[], str]) -> Iterator[CheckResult]:
    topic = DRIVER_TOPIC if snapshot.source == "nvml" else "source"
    if snapshot.problem is not None:
        yield problem(topic, redact.text(snapshot.problem.text), redact.text(snapshot.problem.mend))
        return
    whole = sum(1 for gpu in snapshot.gpus if not gpu.physical)
    mig = len(snapshot.gpus) - whole
    parts = [
        versions() if snapshot.source == "nvml" else snapshot.source,
        ngettext("{count} GPU", "{count} GPUs", whole).format(count=whole),
        ngettext("{count} MIG device", "{count} MIG devices", mig).format(count=mig) if mig else "",
        _hidden_text(snapshot.hidden),
    ]
    yield ok(topic, ", ".join(filter(None, parts)))


def _hidden_text(hidden: int) -> str:
    text = ngettext(
        "{count} more is not available to this session",
        "{count} more are not available to this session",
        hidden,
    )
    return text.format(count=hidden) if hidden else ""


def _check_events(snapshot: Snapshot) -> CheckResult:
    if snapshot.no_events:
        text = _("{why}: the rules xid_fatal and xid_app cannot fire")
        return warning(EVENTS_TOPIC, text.format(why=redact.text(snapshot.no_events)))
    return ok(EVENTS_TOPIC, _("received"))


RUNNING_TOPIC = "watching"


def check_running(
    holder: LockHolder, addresses: Sequence[str], lock_problem: str = ""
) -> Iterator[CheckResult]:
    """Check the tray or `watch`: at the lock holder's address, else at `addresses`."""
    for address in [holder.address] if holder.address else addresses:
        try:
            answer = ipc.ask(address, {"do": "status"})
        except ipc.NotRunningError:
            continue
        except ipc.ControlError as error:
            text = _("{holder} does not answer: {why}").format(holder=holder, why=redact.text(str(error)))
            yield warning(RUNNING_TOPIC, text, _("its log may show why (`gpuwatch-tray doctor --log`)"))
            return
        name = f"{answer.get('face', '?')}, PID {answer.get('pid', '?')}"
        headline = redact.text(str(answer.get("headline", "")))
        if holder.trouble:
            yield warning(RUNNING_TOPIC, f"{name}: {redact.text(holder.trouble)}")
        else:
            yield ok(RUNNING_TOPIC, f"{name}: {headline}")
        return
    if lock_problem:
        yield problem(RUNNING_TOPIC, lock_problem)
        return
    yield ok(RUNNING_TOPIC, _("nothing is watching now: `gpuwatch-tray` starts the tray"))
