"""A GPU that is well, and what the rules say of readings that follow each other."""

from __future__ import annotations

from msgspec.structs import replace

from gpuwatch_tray.model import ClockLimit, Gpu, HeatLimits, Instant, Limits, Missing, UseLimits, Why
from gpuwatch_tray.rules import RULES, RuleHistory, observe
from tests.support.fakes import BOOT, START, snapshot

GIB = 2**30
FAILED = Missing(Why.ERROR, "Unknown Error")
WELL = Gpu(
    0,
    "GPU-0000",
    "Test GPU",
    memory_used=10 * GIB,
    memory_total=24 * GIB,
    utilisation=90,
    temperature=60,
    power=200.0,
    power_limit=300.0,
    fan=50,
    slowdown_at=93,
    limited_by=ClockLimit(0),
    ecc_corrected=0,
    ecc_uncorrected=0,
    rows_pending=False,
    rows_failed=False,
    pcie_width=16,
    pcie_width_most=16,
)
SECOND = replace(WELL, index=1, uuid="GPU-0001")
# Every rule on, those too that are off by default.
ALL_ON = Limits(heat=HeatLimits(power_cap_hold=900.0), use=UseLimits(memory_full=95))


def gpu(index=0, **facts) -> Gpu:
    """Make a GPU that is well but for these facts."""
    return replace(WELL, index=index, uuid=f"GPU-{index:04d}", **facts)


class Readings:
    """Readings one after the other, with what the rules remember of them."""

    def __init__(self, limits=ALL_ON, history=None) -> None:
        self.limits = limits
        self.history = history or RuleHistory()
        self.now = 0.0
        self.last = None

    @property
    def instant(self) -> Instant:
        """The present moment."""
        return Instant(START + self.now, 9000.0 + self.now, BOOT)

    def read(self, *processes, seconds=5.0, gpus=(WELL,), seen=(), **facts) -> None:
        """One poll, `seconds` after the one before."""
        self.now += seconds
        self.last = snapshot(*processes, gpus=gpus, **facts)
        self.history = observe(self.history, self.last, self.instant, self.limits, acknowledged=seen)

    def read_for(self, *processes, seconds, **facts) -> None:
        """Poll at the usual interval for so many seconds."""
        for _ in range(round(seconds / 5)):
            self.read(*processes, **facts)

    def judge(self, rule):
        """Return the rule's verdict on the last reading."""
        return RULES[rule].judge(self.last, self.limits, self.history)

    def found(self, rule) -> list[str]:
        """Return the reasons that the rule finds."""
        return [finding.reason for finding in self.judge(rule).findings]


def judged(rule, *gpus, processes=(), limits=ALL_ON, history=None, **facts):
    """Return the rule's verdict on one reading."""
    reading = snapshot(*processes, gpus=gpus or (WELL,), **facts)
    return RULES[rule].judge(reading, limits, history or RuleHistory())
