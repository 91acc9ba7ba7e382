"""The lab as `lab` prints it."""

from __future__ import annotations

from gpuwatch_tray.app.lab_json import build_lab, lab_lines
from gpuwatch_tray.model import UNKNOWN
from tests.support.lab_status import away, lab_status, well
from tests.support.tray_status import NOW


def printed(*hosts, **more):
    return lab_lines(build_lab(lab_status(*hosts, **more)), NOW)


def test_what_only_looks_free_is_called_so():
    """A host whose processes nobody tells has a number of its own, which is not that of free GPUs."""
    rows = printed(well("a", free=2), well("b", free=UNKNOWN, looks_free=1), away("c"))
    a, b, c = (next(row.split() for row in rows if row.startswith(name)) for name in ("a ", "b ", "c "))
    assert a[:4] == ["a", "ok", "2", "8"]
    assert b[:6] == ["b", "ok", "1", "looks", "free", "8"]
    assert c[:7] == ["c", "does", "not", "answer", "?", "?", "?"]


def test_notes_stand_below_the_hosts():
    """Whatever limits the reading, and what does not leave."""
    lines = printed(well("a"), notes=("the clock of 1 host is off: a", "Email: 2 wait"))
    assert lines[-2:] == ["note: the clock of 1 host is off: a", "note: Email: 2 wait"]
