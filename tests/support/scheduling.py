"""Which file of tests a worker gets next: those of real desktops first, but not on all workers at once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController


ROOT = Path(__file__).parents[2]


@cache
def of_a_desktop(file: str) -> bool:
    """Tell whether the tests of a file need a real desktop: by its mark, as the workers alone import it."""
    return "pytest.mark.desktop" in (ROOT / file).read_text(encoding="utf-8")


class DesktopsFirst(LoadFileScheduling):
    """
    The distribution of whole files by xdist, in another order.

    Tests of a desktop wait for most of their time, and their files are the longest: they come first and leave
    the cores to the others. One worker has none, or three panels would start at once and all be slow.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        having = sum(
            any(of_a_desktop(file) and not all(done.values()) for file, done in work.items())
            for other, work in self.assigned_work.items()
            if other is not node
        )
        wanted = having < len(self.nodes) - 1
        if (
            file := next((file for file in self.workqueue if of_a_desktop(file) is wanted), None)
        ) is not None:
            self.workqueue.move_to_end(file, last=False)
        super()._assign_work_unit(node)
