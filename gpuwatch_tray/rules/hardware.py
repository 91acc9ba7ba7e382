"""Rules about faulty hardware: driver errors (Xid), memory errors (ECC), worn rows, lost PCIe lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.i18n import N_, _, ngettext
from gpuwatch_tray.model import Limits, Severity, Snapshot, Verdict, gpu_subject, known
from gpuwatch_tray.rules.rule_history import ECC_WINDOW, RECOVERY_XID, BoardHistory, RuleHistory
from gpuwatch_tray.rules.verdict import VerdictBuilder, gpu_label, gpu_name

if TYPE_CHECKING:
    from gpuwatch_tray.model import Gpu
    from gpuwatch_tray.rules.rule_history import RuleEvent


XID_FATAL_RULE, XID_APP_RULE = "xid_fatal", "xid_app"
FATAL_XIDS = {
    46: N_("the GPU stopped processing"),
    48: N_("a memory error that could not be corrected"),
    62: N_("its microcontroller halted"),
    64: N_("a worn memory row could not be recorded"),
    74: N_("an NVLink error"),
    79: N_("the GPU has fallen off the bus"),
    95: N_("a memory error that was not contained"),
    109: N_("a context switch took too long"),
    110: N_("a security fault"),
    119: N_("its system processor (GSP) does not answer"),
    120: N_("an error of its system processor (GSP)"),
    136: N_("a link could not be trained"),
    140: N_("a memory error that was not recovered"),
    143: N_("the GPU could not be initialised"),
    154: N_("the GPU needs a different recovery than before"),
    155: N_("an NVLink error, reported by software"),
    156: N_("a part of the GPU was retired"),
    158: N_("a fatal timeout"),
}
# What the driver says must be done, by nvml.h's nvmlDeviceGpuRecoveryAction_t.
RECOVERIES = {
    1: N_("it must be reset"),
    2: N_("the machine must be rebooted"),
    3: N_("programs that use it together with other GPUs must end"),
    4: N_("its programs must end, and it must be reset"),
    7: N_("the machine must be rebooted"),
}
APP_XIDS = {
    8: N_("a program ran for too long"),
    13: N_("a program made an error in its graphics engine"),
    31: N_("a program used memory that is not its own"),
    45: N_("programs were cleaned up after an earlier error"),
    94: N_("a memory error that was contained to one program"),
}
IGNORED_XIDS = frozenset({43, 63, 92})
UNNAMED_GPU = "GPU ?"  # as a process list has it


def judge_xid_fatal(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """Critical: the driver reported an Xid after which the GPU is, as a rule, of no use until it is reset."""
    # An event, one alert for each GPU and code. Source: NVIDIA's Xid catalogue.
    if not limits.faults.xid_fatal:
        return Verdict(XID_FATAL_RULE)
    threshold = _("the driver reports an error (Xid) after which a GPU must be reset")
    return _judge_xid(XID_FATAL_RULE, snapshot, history, threshold)


def judge_xid_app(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """Tell of an Xid that a program caused, as a rule; a warning where the code is not known."""
    # 43, 63 and 92 are left out: they only follow or report others.
    if not limits.faults.xid_app:
        return Verdict(XID_APP_RULE)
    return _judge_xid(XID_APP_RULE, snapshot, history, _("the driver reports any other error (Xid)"))


def _judge_xid(rule: str, snapshot: Snapshot, history: RuleHistory, threshold: str) -> Verdict:
    """Judge from the events alone: they stay known while nothing can be read."""
    builder = VerdictBuilder(rule, snapshot, open_=False)
    if snapshot.no_events:
        builder.cannot_fire(snapshot.no_events)
    elif snapshot.problem is None and not any(gpu.uuid for gpu in snapshot.gpus):
        builder.cannot_fire(_("this source reports no Xid"))
    gpus = dict(snapshot.boards)
    codes = 0
    for subject, event in history.events.items():
        uuid, slash, code = subject.rpartition("/")
        if not slash or not code.isdigit() or rule_of_xid(int(code)) != rule:
            continue
        codes += 1
        gpu = gpus.get(uuid)
        name = f"GPU {gpu.index}" if gpu is not None else uuid or UNNAMED_GPU
        action = None if gpu is None or int(code) != RECOVERY_XID else known(gpu.recovery)
        _add_xid_finding(builder, subject, name, int(code), event, RECOVERIES.get(action or 0, ""))
    if codes or builder.can_fire_everywhere:
        measured = _("no such error within 24 h")
        if codes:
            measured = ngettext("{count} such error within 24 h", "{count} such errors within 24 h", codes)
        builder.measure(codes, measured.format(count=codes))
    return builder.build(threshold)


def rule_of_xid(code: int) -> str:
    """Return the rule that this code is for; empty for none."""
    if code in IGNORED_XIDS:
        return ""
    return XID_FATAL_RULE if code in FATAL_XIDS else XID_APP_RULE


def _add_xid_finding(
    builder: VerdictBuilder, subject: str, gpu: str, code: int, event: RuleEvent, meaning: str
) -> None:
    meaning = meaning or FATAL_XIDS.get(code) or APP_XIDS.get(code) or N_("see NVIDIA's catalogue")
    severity = Severity.CRITICAL if builder.rule == XID_FATAL_RULE else Severity.INFO
    if code not in FATAL_XIDS and code not in APP_XIDS:
        severity = Severity.WARNING
    times = f" {event.count} TIMES" if event.count > 1 else ""
    reason = f"XID({gpu}: {code}){times} :: {meaning}"
    text = _("The driver reported Xid {code} on {gpu}: {meaning}")
    if event.count > 1:
        text = _("The driver reported Xid {code} on {gpu}, {count} times: {meaning}")
    text = text.format(code=code, gpu=gpu, count=event.count, meaning=_(meaning))
    builder.fire(subject, severity, reason, text, event.count)


ECC_RULE = "ecc"
ECC_CLEAR = 0.5  # of the limit, at which it is over


def judge_ecc(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """Critical at each uncorrected memory error more; warn at ECC_CORRECTED corrected ones."""
    # The first is an event, the second over at half as many. A counter that goes back was reset. Source:
    # NVIDIA's GPU memory error management, public DCGM rules (100 errors in 10 minutes).
    if not limits.faults.ecc:
        return Verdict(ECC_RULE)
    builder = VerdictBuilder(ECC_RULE, snapshot)
    most = limits.faults.ecc_corrected
    gpus = dict(snapshot.boards)
    for name, event in history.events.items():
        if "/" not in name:
            board = gpus.get(name)
            where = name if board is None else gpu_label(board)
            text = ngettext(
                "{gpu} had a memory error that could not be corrected",
                "{gpu} had {count} memory errors that could not be corrected",
                event.count,
            ).format(count=event.count, gpu=where if board is None else gpu_name(board))
            reason = f"ECC({where}: {event.count} UNCORRECTED)"
            builder.fire(name, Severity.CRITICAL, reason, text, event.count)
    for name, gpu in builder.boards(lasting=True):
        # Not held: where ECC was switched off, an event that was acknowledged is over all the same.
        what = N_("the uncorrected memory errors")
        if builder.read(gpu, what, gpu.ecc_uncorrected, name, held=False) is not None:
            builder.measure(-1.0, _("no new uncorrected errors"))
        what = N_("the corrected memory errors")
        if most is None or builder.read(gpu, what, gpu.ecc_corrected, name, held=False) is None:
            continue
        errors = int(history.boards.get(name, BoardHistory()).errors.total(history.clock, ECC_WINDOW))
        measured = ngettext(
            "{count} corrected error on {gpu} in 10 min",
            "{count} corrected errors on {gpu} in 10 min",
            errors,
        )
        builder.measure(errors, measured.format(count=errors, gpu=gpu_name(gpu)))
        if errors >= most:
            reason = f"ECC({gpu_label(gpu)}: {errors} CORRECTED in 10 min) >= LIMIT({most})"
            text = ngettext(
                "{count} memory error was corrected on {gpu} in 10 minutes; the limit is {limit}",
                "{count} memory errors were corrected on {gpu} in 10 minutes; the limit is {limit}",
                errors,
            ).format(count=errors, gpu=gpu_name(gpu), limit=most)
            builder.fire(name, Severity.WARNING, reason, text, errors)
        elif errors > ECC_CLEAR * most:
            builder.in_band(name)
    threshold = _("a memory error cannot be corrected")
    if most is not None:
        threshold = _("a memory error cannot be corrected, or {count} are corrected within 10 min").format(
            count=most
        )
    return builder.build(threshold)


PCIE_WIDTH_RULE = "pcie_width"
PCIE_REST = 60.0  # seconds of idleness after which a GPU may have let lanes go


def judge_pcie_width(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """Warn of each GPU that uses fewer lanes than it and its slot can, for PCIE_WIDTH_MIN minutes of work."""
    # Without a process, or idle for a minute, it may have let lanes go to save power. Source: NVIDIA's
    # nvml.h, public DCGM rules (5 minutes).
    if limits.faults.pcie_hold is None:
        return Verdict(PCIE_WIDTH_RULE)
    builder = VerdictBuilder(PCIE_WIDTH_RULE, snapshot)
    for name, gpu in builder.boards():
        width = builder.read(gpu, N_("the PCIe lanes"), gpu.pcie_width, name)
        most = builder.read(gpu, N_("the PCIe lanes"), gpu.pcie_width_most, name)
        if width is None or most is None:
            continue
        measured = _("{gpu} uses {width} of {most} lanes")
        builder.measure(most - width, measured.format(gpu=gpu_name(gpu), width=width, most=most))
        if width >= most:
            continue
        if history.idle_for(gpu_subject(gpu)) < PCIE_REST and _computes_on(gpu, snapshot):
            reason = f"PCIE_WIDTH({gpu_label(gpu)}: x{width}) < MAXIMUM(x{most})"
            text = _("{gpu} uses {width} of its {most} PCIe lanes; check that it is seated properly").format(
                gpu=gpu_name(gpu), width=width, most=most
            )
            builder.fire(name, Severity.WARNING, reason, text, most - width)
        else:
            builder.in_band(name)
    return builder.build(_("a busy GPU uses fewer PCIe lanes than it could"))


def _computes_on(gpu: Gpu, snapshot: Snapshot) -> bool:
    """Return whether a process computes on it, or on a MIG device of it."""
    return any(process.computes and process.gpu == gpu.index for process in snapshot.processes)


ROW_REMAP_RULE = "row_remap"


def judge_row_remap(snapshot: Snapshot, limits: Limits) -> Verdict:
    """Critical when memory rows could not be remapped; a warning while some wait for the next reset."""
    # Source: NVIDIA's GPU memory error management, public DCGM rules.
    if not limits.faults.row_remap:
        return Verdict(ROW_REMAP_RULE)
    builder = VerdictBuilder(ROW_REMAP_RULE, snapshot)
    worn = 0
    for name, gpu in builder.boards(lasting=True):
        failed = builder.read(gpu, N_("the state of the memory rows"), gpu.rows_failed, name)
        pending = builder.read(gpu, N_("the state of the memory rows"), gpu.rows_pending, name)
        if failed:
            text = _("{gpu} has memory rows that could not be remapped: it should be replaced")
            reason = f"ROW_REMAP({gpu_label(gpu)}: failed)"
            builder.fire(name, Severity.CRITICAL, reason, text.format(gpu=gpu_name(gpu)), 2)
        elif pending:
            text = _("{gpu} will remap worn memory rows at its next reset: reset it when it is idle")
            reason = f"ROW_REMAP({gpu_label(gpu)}: pending)"
            builder.fire(name, Severity.WARNING, reason, text.format(gpu=gpu_name(gpu)), 1)
        elif failed is None and pending is None:
            continue
        worn += bool(failed or pending)
        measured = _("no GPU has worn memory rows")
        if worn:
            measured = ngettext(
                "{count} GPU has worn memory rows", "{count} GPUs have worn memory rows", worn
            )
        builder.measure(worn, measured.format(count=worn))
    return builder.build(_("worn memory rows wait to be replaced, or could not be"))
