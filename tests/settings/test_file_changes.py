"""When the files are read again."""

from __future__ import annotations

import pytest

from gpuwatch_tray.settings import Changes
from tests.settings.checkout import SMTP, WATCH


@pytest.fixture
def changes(installed_house):
    """Provide a poll that has seen the files at rest."""
    made = Changes({}, installed_house.places)
    assert made.check() is None
    assert made.check() is not None  # what may have changed while the program started
    assert made.check() is None
    return made


def test_a_change_counts_once_it_is_at_rest(installed_house, changes):
    """The first look sees it, the second reads it, the third has nothing new."""
    installed_house.write(WATCH, "GPU_LIMIT=7\n", user=True)
    assert changes.check() is None
    settings, problems = changes.check()
    assert (settings.limits.gpu_limit, problems) == (7, ())
    assert changes.check() is None


def test_a_change_is_pending_from_the_look_that_sees_it_to_the_one_after_its_reading(
    installed_house, changes
):
    """Until then it is looked at more often."""
    assert not changes.pending
    installed_house.write(WATCH, "GPU_LIMIT=7\n", user=True)
    seen = [(changes.check() is not None, changes.pending) for _ in range(4)]
    assert seen == [(False, True), (True, True), (False, False), (False, False)]


def test_a_file_that_is_still_being_written_is_not_read(installed_house, changes):
    """An editor that empties the file first does not switch anything off in between."""
    installed_house.write(WATCH, "GPU_LIMIT=7\n", user=True)
    changes.check()
    changes.check()
    installed_house.write(WATCH, "", user=True)
    assert changes.check() is None
    installed_house.write(WATCH, "GPU_LIMIT=70\n", user=True)
    assert changes.check() is None
    assert changes.check()[0].limits.gpu_limit == 70


def test_a_file_that_changes_under_the_reading_is_read_again(installed_house, changes, monkeypatch):
    """What was read while somebody wrote does not count."""
    file = installed_house.write(WATCH, "GPU_LIMIT=7\n", user=True)
    assert changes.check() is None

    def meanwhile(environ, where):
        found = original(environ, where)
        file.write_text("GPU_LIMIT=77\n")
        return found

    original = changes.check.__func__.__globals__["load"]
    monkeypatch.setitem(changes.check.__func__.__globals__, "load", meanwhile)
    assert changes.check() is None
    monkeypatch.undo()
    assert [changes.check(), changes.check()][1][0].limits.gpu_limit == 77


def test_a_file_that_goes_is_a_mistake_until_it_is_back(installed_house, changes):
    """A home that is not mounted for a while switches off nothing; the others' mistakes are told too."""
    file = installed_house.write(WATCH, "GPU_LIMIT=7\n", user=True)
    changes.check()
    changes.check()
    file.unlink()
    other = installed_house.write(SMTP, "SMTP_PORT=none\n", user=True)
    changes.check()
    _settings, (gone, wrong) = changes.check()
    assert str(gone) == f"{file}: is gone: put it back, or restart to use the defaults"
    assert "smtp.env:1: SMTP_PORT" in str(wrong)
    other.write_text("# SMTP_PORT\n")
    changes.check()
    _settings, still = changes.check()
    assert still == (gone,)
    file.write_text("GPU_LIMIT=8\n")
    changes.check()
    settings, none = changes.check()
    assert (settings.limits.gpu_limit, none) == (8, ())
