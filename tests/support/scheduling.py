"""Which file of tests a worker gets next: those of real desktops first, but not on all workers at once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController


ROOT = Path(__file__).parents[2]
FEW = 3  # tests of a file that has long ones, such as a simulated month: last, it would keep one worker alone


@cache
def of_a_desktop(file: str) -> bool:
    """Tell whether the tests of a file need a real desktop: by its mark, as the workers alone import it."""
    return "pytest.mark.desktop" in (ROOT / file).read_text(encoding="utf-8")


class DesktopsFirst(LoadFileScheduling):
    """
    The distribution of whole files by xdist, in another order.

    Tests of a desktop wait for most of their time, and their files are the longest: they come first and leave
    the cores to the others. One worker has none, or three panels would start at once and all be slow. Then
    come files of few tests, then those of many, as xdist sorts them.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        having = sum(
            any(of_a_desktop(file) and not all(done.values()) for file, done in work.items())
            for other, work in self.assigned_work.items()
            if other is not node
        )
        wanted = having < len(self.nodes) - 1
        fitting = [file for file in self.workqueue if of_a_desktop(file) is wanted]
        few = [file for file in fitting if len(self.workqueue[file]) <= FEW]
        if fitting:
            self.workqueue.move_to_end((few or fitting)[0], last=False)
        super()._assign_work_unit(node)
