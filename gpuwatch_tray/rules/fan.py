"""A fan that stands still, or cannot be read, on a warm GPU."""

from __future__ import annotations

from gpuwatch_tray.model import Limits, Missing, Severity, Snapshot, Terms, Verdict, Why
from gpuwatch_tray.rules.devices import label
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
            tally.value(gpu, "the fan", gpu.fan)
            continue
        degrees = tally.value(gpu, "the temperature", gpu.temperature, name)
        if degrees is None:
            continue
        speed = "cannot be read" if isinstance(gpu.fan, Missing) else f"{gpu.fan} %"
        tally.measured(degrees, f"the fan of {label(gpu)}, at {degrees} °C: {speed}")
        if not isinstance(gpu.fan, Missing) and gpu.fan > 0:
            continue
        if degrees > at:
            said = "cannot be read" if isinstance(gpu.fan, Missing) else "stands still"
            reason = f"FAN({label(gpu)}: {speed.replace(' %', '%')}) AT({degrees}C) > LIMIT({at}C)"
            tally.found(
                name, Severity.WARNING, reason, f"The fan of {label(gpu)} {said} at {degrees} °C", degrees
            )
        elif degrees > at - CLEAR:
            tally.between(name)
    return tally.verdict(f"a fan stands still or fails, and its GPU is above {at} °C")
