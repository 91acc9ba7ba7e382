"""A fan that stands still, or cannot be read, on a warm GPU."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Limits, Missing, Severity, Snapshot, Terms, Verdict, Why
from gpuwatch_tray.rules.devices import gpu_label, gpu_name
from gpuwatch_tray.rules.tally import VerdictBuilder

FAN_RULE = "fan"
FAN_TERMS = Terms(hold=2 * 60.0, clear=2 * 60.0)
FAN_CLEAR = 5  # degrees C below the limit at which it is over


def judge_fan(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Warn of each GPU above FAN_TEMP_C whose fan is at 0 %, or fails to answer, for 2 minutes.

    Default 70 degrees C: many fans stop on purpose when it is cool. It is over when the fan turns, or at 5
    degrees less, for 2 minutes. A GPU without a fan of its own is skipped. Source: Netdata's dcgm.conf.
    """
    at = limits.heat.fan_at
    if at is None:
        return Verdict(FAN_RULE)
    builder = VerdictBuilder(FAN_RULE, snapshot)
    for name, gpu in builder.boards():
        if isinstance(gpu.fan, Missing) and gpu.fan.why is not Why.ERROR:
            builder.read(gpu, N_("the fan"), gpu.fan, name)
            continue
        degrees = builder.read(gpu, N_("the temperature"), gpu.temperature, name)
        if degrees is None:
            continue
        speed = _("cannot be read") if isinstance(gpu.fan, Missing) else f"{gpu.fan} %"
        measured = _("the fan of {gpu}, at {degrees} °C: {speed}")
        builder.measure(degrees, measured.format(gpu=gpu_name(gpu), degrees=degrees, speed=speed))
        if not isinstance(gpu.fan, Missing) and gpu.fan > 0:
            continue
        if degrees > at:
            speed = "cannot be read" if isinstance(gpu.fan, Missing) else f"{gpu.fan}%"
            reason = f"FAN({gpu_label(gpu)}: {speed}) AT({degrees}C) > LIMIT({at}C)"
            text = _("The fan of {gpu} stands still at {degrees} °C")
            if isinstance(gpu.fan, Missing):
                text = _("The fan of {gpu} cannot be read at {degrees} °C")
            text = text.format(gpu=gpu_name(gpu), degrees=degrees)
            builder.fire(name, Severity.WARNING, reason, text, degrees)
        elif degrees > at - FAN_CLEAR:
            builder.in_band(name)
    return builder.build(
        _("a fan stands still or fails, and its GPU is above {degrees} °C").format(degrees=at)
    )
