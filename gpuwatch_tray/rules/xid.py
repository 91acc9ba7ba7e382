"""Rules about faulty hardware: driver errors (Xid), memory errors (ECC), worn rows, lost PCIe lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import N_, _, ngettext
from gpuwatch_tray.model import Limits, Severity, Snapshot, Verdict
from gpuwatch_tray.rules.devices import physical_gpus
from gpuwatch_tray.rules.tally import VerdictBuilder

if TYPE_CHECKING:
    from gpuwatch_tray.rules.memory import RuleEvent, RuleHistory

XID_FATAL_RULE, XID_APP_RULE = "xid_fatal", "xid_app"
FATAL_XIDS = {
    46: N_("the GPU stopped processing"),
    48: N_("a memory error that could not be corrected"),
    62: N_("its micro-controller halted"),
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
    154: N_("the GPU needs another recovery than before"),
    155: N_("an NVLink error, told by software"),
    156: N_("a part of the GPU was retired"),
    158: N_("a fatal timeout"),
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
    """
    Critical: the driver reported an Xid after which the GPU is, as a rule, of no use until it is reset.

    An event: it fires at once and is over when it is acknowledged, or after 24 hours without another. One
    alert for each GPU and code. Switched by XID_FATAL; it has no unit. Source: NVIDIA's Xid catalogue.
    """
    threshold = _("the driver reports an error (Xid) after which a GPU must be reset")
    return (
        _judge_xid(XID_FATAL_RULE, snapshot, history, threshold)
        if limits.faults.xid_fatal
        else Verdict(XID_FATAL_RULE)
    )


def judge_xid_app(snapshot: Snapshot, limits: Limits, history: RuleHistory) -> Verdict:
    """
    Tell of an Xid that a program caused, as a rule; a warning where the code is not known.

    An event as `xid_fatal` is, with its terms and its source. 43, 63 and 92 are left out: they only
    follow or report others. Switched by XID_APP.
    """
    threshold = _("the driver reports any other error (Xid)")
    return (
        _judge_xid(XID_APP_RULE, snapshot, history, threshold)
        if limits.faults.xid_app
        else Verdict(XID_APP_RULE)
    )


def _judge_xid(rule: str, snapshot: Snapshot, history: RuleHistory, threshold: str) -> Verdict:
    """Judge from the events alone: they stay known while nothing can be read."""
    builder = VerdictBuilder(rule, snapshot, open_=False)
    if snapshot.no_events:
        builder.cannot_fire(snapshot.no_events)
    elif snapshot.problem is None and not any(gpu.uuid for gpu in snapshot.gpus):
        builder.cannot_fire(_("this source reports no Xid"))
    names = {name: f"GPU {gpu.index}" for name, gpu in physical_gpus(snapshot)}
    codes = 0
    for subject, event in history.events.items():
        uuid, slash, code = subject.rpartition("/")
        if not slash or not code.isdigit() or rule_of_xid(int(code)) != rule:
            continue
        codes += 1
        _add_xid_finding(builder, subject, names.get(uuid, uuid) or UNNAMED_GPU, int(code), event)
    if codes or builder.can_fire_everywhere:
        said = _("no such error within 24 h")
        if codes:
            said = ngettext("{count} such error within 24 h", "{count} such errors within 24 h", codes)
        builder.measure(codes, said.format(count=codes))
    return builder.build(threshold)


def rule_of_xid(code: int) -> str:
    """Return the rule that this code is for; empty for none."""
    if code in IGNORED_XIDS:
        return ""
    return XID_FATAL_RULE if code in FATAL_XIDS else XID_APP_RULE


def _add_xid_finding(builder: VerdictBuilder, subject: str, gpu: str, code: int, event: RuleEvent) -> None:
    meaning = FATAL_XIDS.get(code) or APP_XIDS.get(code) or N_("see NVIDIA's catalogue")
    severity = Severity.CRITICAL if builder.rule == XID_FATAL_RULE else Severity.INFO
    if code not in FATAL_XIDS and code not in APP_XIDS:
        severity = Severity.WARNING
    times = f" {event.count} TIMES" if event.count > 1 else ""
    reason = f"XID({gpu}: {code}){times} :: {meaning}"
    text = _("The driver reported Xid {code} of {gpu}: {meaning}")
    if event.count > 1:
        text = _("The driver reported Xid {code} of {gpu}, {count} times: {meaning}")
    text = text.format(code=code, gpu=gpu, count=event.count, meaning=_(meaning))
    builder.fire(subject, severity, reason, text, event.count)
