"""
What a page of thirty days costs: `python -m tests.bench.details_page`.

Eight GPUs: the time to make the page, its size, and
the time until Chromium has drawn it. Nothing here is asserted: a slow machine is no fault.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from gpuwatch_tray.report import Page, html
from tests.browser import Browser
from tests.report import histories

GPUS, DAYS, TIMES = 8, 30, 3


def main():
    history = histories.history(GPUS, DAYS * histories.DAY)
    about = Page("box", history.end, live=histories.live(history), usage=histories.usage())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        made = []
        for _ in range(TIMES):
            began = time.perf_counter()
            file.write_text(html(history, about), encoding="utf-8")
            made.append(time.perf_counter() - began)
        drawn = []
        with Browser(Path(folder)) as browser:
            for width in (1280, 390):
                drawn += [browser.open(file, width=width) for _ in range(TIMES)]
        print(f"{GPUS} GPUs, {DAYS} days, {len(history.runs)} process runs, best of {TIMES}")
        print(f"made in {min(made):.2f} s, {file.stat().st_size / 1e6:.2f} MB")
        print(f"drawn in {min(drawn[:TIMES]):.2f} s at 1280 px, {min(drawn[TIMES:]):.2f} s at 390 px")


if __name__ == "__main__":
    main()
