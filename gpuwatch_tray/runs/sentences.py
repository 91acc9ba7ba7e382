"""What a person reads of a cause: one sentence, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from gpuwatch_tray.common import redact
from gpuwatch_tray.common.late_pattern import late_pattern
from gpuwatch_tray.i18n import N_, _
from gpuwatch_tray.model.units import GIB, KIB, MIB, gib, memory_text, recent_time
from gpuwatch_tray.rules.hardware import APP_XIDS, FATAL_XIDS, UNNAMED_GPU
from gpuwatch_tray.runs.cause import End, Kind, RunFacts, Signalled, Unseen, signal_name
from gpuwatch_tray.runs.fact_rules import SIGINT, SIGTERM
from gpuwatch_tray.runs.log_tail import LogLine

if TYPE_CHECKING:
    import re

_SIZES = {"B": 1, "byte": 1, "KiB": KIB, "KB": KIB, "MiB": MIB, "MB": MIB, "GiB": GIB, "GB": GIB}
_SIZE = r"([\d,]{1,30}(?:\.\d{1,6})?)\s?(B|bytes?|KiB|MiB|GiB|KB|MB|GB)\b"
_ASKED = late_pattern(
    rf"(?:[Tt]ried to allocate|trying to allocate|[Aa]llocating|allocate request for|allocate) {_SIZE}"
)
_FREE = late_pattern(rf"of which {_SIZE} is free|{_SIZE} free")
_GPU = late_pattern(r"\bGPU (\d{1,3})\b|device(?: ordinal)? (\d{1,3})\b")
_RANK = late_pattern(
    r"\[Rank (\d{1,5})\]|\bRank (\d{1,5}) timed out|DistBackendError: \[(\d{1,5})\] is setting up"
)
_MODULE = late_pattern(
    r"[Nn]o module named '?([\w.-]{1,80})|Cannot find module '([^']{1,120})'"
    r"|called \u2018([^\u2019]{1,80})\u2019"
)
_LIBRARY = late_pattern(r"(lib[\w.+-]{1,80}\.so[\w.]{0,20})")
_FAILED_LIBRARY = late_pattern(
    r"(lib[\w.+-]{1,80}\.so[\w.]{0,20}): (?:cannot open|undefined|version|file too|invalid)"
)
_UNFIT = late_pattern(r"symbol|version|file too short|ELF")
_PATH = late_pattern(
    r"'([^'\n]{1,300})'$|\u2018([^\u2019\n]{1,300})\u2019|(?:^|: )([^\s:]{1,200}): (?:command )?not found"
)
_PORT = late_pattern(r"port:? (\d{2,5})\b|(?:\]|\.\d{1,3}):(\d{2,5})\b|', (\d{2,5})\)|:::(\d{2,5})")
_SIGNAL = late_pattern(r"by signal: ([A-Z][\w ]{1,30})\.")


class Story(Struct, frozen=True):
    """What the sentence of a cause is made from."""

    kind: Kind
    end: End
    facts: RunFacts
    line: LogLine = field(default_factory=lambda: LogLine(""))
    evidence: str = ""
    swallowed: bool = False

    @property
    def rank(self) -> str:
        """The rank that had the error first, as far as the log names it."""
        return _first(_RANK, self.line.text) or self.line.rank


def _first(pattern: re.Pattern[str], text: str) -> str:
    """Return the first group that matched, '' for none."""
    found = pattern.search(text)
    return next((group for group in found.groups() if group), "") if found else ""


def _bytes(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    if found is None:
        return None
    number, unit = [group for group in found.groups() if group][:2]
    return int(float(number.replace(",", "")) * _SIZES[unit.removesuffix("s")])


PLAIN = {
    Kind.ILLEGAL_ACCESS: N_("a GPU kernel used memory that is not its own"),
    Kind.DEVICE_ASSERT: N_("a check inside a GPU kernel failed, most often an index that is out of range"),
    Kind.DRIVER_MISMATCH: N_("the NVIDIA driver, its library and CUDA do not match"),
    Kind.NO_GPU: N_("no GPU could be used"),
    Kind.GPU_LIBRARY: N_("a GPU library (cuDNN, cuBLAS or the like) failed"),
    Kind.NO_KERNEL_IMAGE: N_("the program was not built for this GPU"),
    Kind.PERMISSION: N_("permission was denied"),
    Kind.NETWORK: N_("a download or a connection failed"),
    Kind.SHARED_MEMORY: N_("shared memory ran out"),
    Kind.DIVERGED: N_("the loss became NaN or infinite"),
    Kind.ASSERTION: N_("a check in the program failed"),
    Kind.WRONG_USE: N_("it was started with options that it does not accept"),
    Kind.LOGOUT: N_("it ended with the login or terminal that it belonged to"),
}
FIXES = {
    Kind.GPU_MEMORY: N_("use a smaller batch or model, or wait until the GPU is free"),
    Kind.HOST_MEMORY: N_("load less at a time, use fewer workers, or ask for more memory"),
    Kind.ILLEGAL_ACCESS: N_("run it with CUDA_LAUNCH_BLOCKING=1, or under compute-sanitizer, to see where"),
    Kind.DEVICE_ASSERT: N_("check labels and indexes; CUDA_LAUNCH_BLOCKING=1 shows where"),
    Kind.XID: N_("run it again; if it comes back, tell the administrator"),
    Kind.GPU_LOST: N_("the machine must be rebooted; tell the administrator"),
    Kind.DRIVER_MISMATCH: N_("reboot after a driver update, or use a build for this driver"),
    Kind.NO_GPU: N_("check CUDA_VISIBLE_DEVICES, the driver (nvidia-smi) and that the build has CUDA"),
    Kind.GPU_LIBRARY: N_("check that the versions match, and that GPU memory is left"),
    Kind.NO_KERNEL_IMAGE: N_("install a build for this GPU's architecture"),
    Kind.COMMUNICATION: N_("look at the log of the first rank, and at the network between the machines"),
    Kind.MISSING_MODULE: N_("install it into the environment that the program runs in"),
    Kind.MISSING_LIBRARY: N_("install the library, or set LD_LIBRARY_PATH to where it is"),
    Kind.MISSING_FILE: N_("check the path and the folder that it was started in"),
    Kind.DISK_FULL: N_("free some space, or write somewhere else"),
    Kind.PERMISSION: N_("check the owner and the permissions of the file"),
    Kind.NETWORK: N_("check the connection, the name and the access token, then start it again"),
    Kind.PORT_IN_USE: N_("end the other program, or choose another port"),
    Kind.DATA_WORKER: N_("use fewer workers, or none (num_workers=0) to see the error itself"),
    Kind.SHARED_MEMORY: N_("make /dev/shm larger (docker: --shm-size), or use fewer workers"),
    Kind.DIVERGED: N_("lower the learning rate, clip gradients, or look for bad samples"),
    Kind.WRONG_USE: N_("see its --help"),
    Kind.CRASH: N_("run it with python -X faulthandler to see where"),
    Kind.KILLED: N_("usually the machine ran out of memory: ask the administrator"),
    Kind.TIME_LIMIT: N_("ask for more time, or save checkpoints and continue from the last"),
    Kind.LOGOUT: N_("start it under tmux, screen or nohup"),
}


def fix_of(story: Story) -> str:
    """Return what to do, translated; empty where that depends on the program."""
    if story.swallowed:
        return _("look at its last lines; `set -e` in a script lets it stop at the first error")
    if story.kind is Kind.GPU_MEMORY and story.facts.holders:
        return _("wait until the other process has ended, or use another GPU")
    text = FIXES.get(story.kind)
    return _(text) if text else ""


def sentence_of(story: Story) -> str:
    """Return the cause as one sentence, translated, without a full stop."""
    make = _MAKERS.get(story.kind)
    return make(story) if make else _(PLAIN[story.kind])


def _success(story: Story) -> str:
    return _("it finished, though its last line is an error") if story.swallowed else _("it finished")


def _gpu_memory(story: Story) -> str:
    text, gpus = story.line.text, story.facts.gpus
    index = _first(_GPU, text)
    gpu = f"GPU {index}" if index else gpus[0].name if len(gpus) == 1 else "GPU"
    asked, free = _bytes(_ASKED, text), _bytes(_FREE, text)
    if asked is not None and free is not None:
        said = _("{gpu} ran out of memory: {asked} asked for, {free} free")
    elif asked is not None:
        said = _("{gpu} ran out of memory: {asked} asked for")
    else:
        said = _("{gpu} ran out of memory")
    said = said.format(gpu=gpu, asked=memory_text(asked or 0), free=memory_text(free or 0))
    return "; ".join([said, *_holders(story.facts)])


def neighbours_line(facts: RunFacts) -> str:
    """Return who else was on its GPUs, as a line of its own; empty for nobody."""
    named = _holders(facts)
    return _("others on its GPUs: {others}").format(others="; ".join(named)) if named else ""


def _holders(facts: RunFacts) -> list[str]:
    """Tell who else held memory, the most first."""
    told = []
    for holder in sorted(facts.holders, key=lambda holder: -holder.memory)[:2]:
        if holder.since is None:
            form = _("{user}'s {name} (PID {pid}) held {memory}")
        else:
            form = _("{user}'s {name} (PID {pid}) held {memory}, since {time}")
        since = recent_time(holder.since or 0.0, facts.ended)
        told.append(
            form.format(
                user=holder.user,
                name=redact.process_name(holder.name),
                pid=holder.pid,
                memory=memory_text(holder.memory),
                time=since,
            )
        )
    return told


def _host_memory(story: Story) -> str:
    if story.facts.oom_kills:
        return _("it reached its memory limit (cgroup), and the kernel killed it")
    if story.facts.kernel_lines or (story.facts.machine_kills and not story.line.text):
        return _("the machine ran out of memory, and the kernel killed it")
    asked = _bytes(_ASKED, story.line.text)
    if asked is not None:
        return _("the machine ran out of memory: {asked} asked for").format(asked=f"{gib(asked)} GiB")
    return _("the machine ran out of memory")


def _xid(story: Story) -> str:
    """Name the Xid: the gravest, else the first."""
    known = [xid for xid in story.facts.xids if xid.code in FATAL_XIDS or xid.code in APP_XIDS]
    known.sort(key=lambda xid: (xid.code not in FATAL_XIDS, xid.at))
    if not known:
        return _("the GPU reported an error of its hardware")
    xid = known[0]
    meaning = FATAL_XIDS.get(xid.code) or APP_XIDS[xid.code]
    name = next((gpu.name for gpu in story.facts.gpus if gpu.uuid == xid.uuid), UNNAMED_GPU)
    when = recent_time(xid.at, story.facts.ended)
    text = _("the driver reported Xid {code} on {gpu} at {time}: {meaning}")
    return text.format(code=xid.code, gpu=name, time=when, meaning=_(meaning))


def _gpu_lost(story: Story) -> str:
    lost = [gpu.name for gpu in story.facts.gpus if gpu.lost]
    return _("{gpu} was lost: it no longer answers").format(gpu=", ".join(lost) or UNNAMED_GPU)


def _communication(story: Story) -> str:
    if story.rank:
        return _("the ranks lost contact with each other; rank {rank} reported it first").format(
            rank=story.rank
        )
    return _("the ranks lost contact with each other")


def _missing_module(story: Story) -> str:
    name = _first(_MODULE, story.evidence)
    return (
        _("the module {name} is missing").format(name=name)
        if name
        else _("a module or a part of it is missing")
    )


def _missing_library(story: Story) -> str:
    name = _first(_FAILED_LIBRARY, story.evidence) or _first(_LIBRARY, story.evidence)
    if _UNFIT.search(story.evidence):
        return (
            _("the library {name} is not compatible").format(name=name)
            if name
            else _("a library is not compatible")
        )
    return _("the library {name} is missing").format(name=name) if name else _("a library is missing")


def _missing_file(story: Story) -> str:
    name = _first(_PATH, story.evidence)
    return _("{path} does not exist").format(path=name) if name else _("a file or a program does not exist")


def _disk_full(story: Story) -> str:
    if "uota" in story.evidence:
        return _("the disk quota was used up")
    if story.facts.full:
        return _("the disk with {path} was full").format(path=redact.text(story.facts.full[0].path))
    path = _first(_PATH, story.evidence)
    return _("the disk with {path} was full").format(path=path) if path else _("the disk was full")


def _port_in_use(story: Story) -> str:
    port = _first(_PORT, story.line.text)
    return _("port {port} is in use").format(port=port) if port else _("the port that it needs is in use")


def _data_worker(story: Story) -> str:
    name = _first(_SIGNAL, story.evidence)
    if name:
        return _("one of its worker processes was ended by a signal ({name})").format(name=name)
    return _("one of its worker processes died")


def _exception(story: Story) -> str:
    name = story.line.exception
    return _("it stopped at an error: {name}").format(name=name) if name else _("it stopped at an error")


def _crash(story: Story) -> str:
    if story.end.number:
        return _("it crashed ({name})").format(name=signal_name(story.end.number))
    return _("one of its processes crashed")


def _killed(story: Story) -> str:
    if story.end.number:
        return _("it was killed (SIGKILL); by whom is not known")
    return _("one of its processes was killed (SIGKILL); by whom is not known")


def _stopped(story: Story) -> str:
    if story.facts.sender:
        return _("{sender} ended it").format(sender=redact.text(story.facts.sender))
    if story.end.number == SIGINT or "KeyboardInterrupt" in story.evidence or "^C" in story.evidence:
        return _("it was ended with Ctrl-C")
    return _("it was asked to end (SIGTERM)") if story.end.number == SIGTERM else _("someone ended it")


def _time_limit(story: Story) -> str:
    if story.facts.deadline is not None:
        when = recent_time(story.facts.deadline, story.facts.ended)
        return _("it reached its time limit ({time})").format(time=when)
    return _("it reached its time limit")


def _unknown(story: Story) -> str:
    full = [gpu.name for gpu in story.facts.gpus if gpu.full]
    if isinstance(story.end, Unseen):
        if full:
            text = _("it is gone; how it ended was not seen, and the memory of {gpu} was full before")
            return "; ".join([text.format(gpu=", ".join(full)), *_holders(story.facts)])
        return _("it is gone; how it ended was not seen, and the cause is not known")
    if isinstance(story.end, Signalled):
        return _("it was ended by a signal ({name})").format(name=signal_name(story.end.number))
    return _("it ended with exit code {code}; the cause is not known").format(code=story.end.code)


_MAKERS = {
    Kind.SUCCESS: _success,
    Kind.GPU_MEMORY: _gpu_memory,
    Kind.HOST_MEMORY: _host_memory,
    Kind.XID: _xid,
    Kind.GPU_LOST: _gpu_lost,
    Kind.COMMUNICATION: _communication,
    Kind.MISSING_MODULE: _missing_module,
    Kind.MISSING_LIBRARY: _missing_library,
    Kind.MISSING_FILE: _missing_file,
    Kind.DISK_FULL: _disk_full,
    Kind.PORT_IN_USE: _port_in_use,
    Kind.DATA_WORKER: _data_worker,
    Kind.EXCEPTION: _exception,
    Kind.CRASH: _crash,
    Kind.KILLED: _killed,
    Kind.STOPPED: _stopped,
    Kind.TIME_LIMIT: _time_limit,
    Kind.UNKNOWN: _unknown,
}
