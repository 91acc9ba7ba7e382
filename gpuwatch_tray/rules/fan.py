"""A fan that stands still, or cannot be read, on a warm GPU."""

from __future__ import annotations

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.model import Limits, Missing, Severity, Snapshot, Terms, Verdict, Why
from gpuwatch_tray.rules.devices import label, named
from gpuwatch_tray.rules.tally import Tally

NAME = "fan"
TERMS = Terms(hold=2 * 60.0, clear=2 * 60.0)
CLEAR = 5  # degrees C below the limit at which it is over


def fan(snapshot: Snapshot, limits: Limits) -> Verdict:
    """
    Warn of each GPU above FAN_TEMP_C whose fan is at 0 %, or fails to answer, for 2 minutes.

    Default 70 degrees C: many fans stop on purpose when it is cool. It is over when the fan turns, or at 5
    degrees less, for 2 minutes. A GPU without a fan of its own is skipped. Source: Netdata's dcgm.conf.
    """
    at = limits.heat.fan_at
    if at is None:
        return Verdict(NAME)
    tally = Tally(NAME, snapshot)
    for name, gpu in tally.boards():
        if isinstance(gpu.fan, Missing) and gpu.fan.why is not Why.ERROR:
            tally.value(gpu, N_("the fan"), gpu.fan, name)
            continue
        degrees = tally.value(gpu, N_("the temperature"), gpu.temperature, name)
        if degrees is None:
            continue
        speed = _("cannot be read") if isinstance(gpu.fan, Missing) else f"{gpu.fan} %"
        measured = _("the fan of {gpu}, at {degrees} °C: {speed}")
        tally.measured(degrees, measured.format(gpu=named(gpu), degrees=degrees, speed=speed))
        if not isinstance(gpu.fan, Missing) and gpu.fan > 0:
            continue
        if degrees > at:
            speed = "cannot be read" if isinstance(gpu.fan, Missing) else f"{gpu.fan}%"
            reason = f"FAN({label(gpu)}: {speed}) AT({degrees}C) > LIMIT({at}C)"
            text = _("The fan of {gpu} stands still at {degrees} °C")
            if isinstance(gpu.fan, Missing):
                text = _("The fan of {gpu} cannot be read at {degrees} °C")
            text = text.format(gpu=named(gpu), degrees=degrees)
            tally.found(name, Severity.WARNING, reason, text, degrees)
        elif degrees > at - CLEAR:
            tally.between(name)
    return tally.verdict(
        _("a fan stands still or fails, and its GPU is above {degrees} °C").format(degrees=at)
    )
