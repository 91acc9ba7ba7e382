"""The files, written where there are none."""

from __future__ import annotations

import re

from gpuwatch_tray.model.schema import SETTINGS
from gpuwatch_tray.settings.paths import files_to_check, stamps
from gpuwatch_tray.settings.template import files, write_missing
from tests.settings.checkout import LAB, NOTIFY, SMTP, WATCH, House

NAMES = (WATCH, NOTIFY, SMTP, LAB)


def test_every_key_is_written_with_its_default(installed_house):
    """A fresh set means what no file means, names each key once, and is its owner's alone."""
    nothing = installed_house.meaning()
    written = write_missing({}, installed_house.places)
    assert [path.name for path in written] == list(NAMES)
    assert installed_house.meaning() == nothing
    text = "".join(path.read_text() for path in written)
    assert sorted(re.findall(r"(?m)^#?([A-Z_]+)=", text)) == sorted(SETTINGS)
    assert "Copy this file" not in text
    assert "env.example" not in text
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}


def test_what_is_there_stays_as_it_is(installed_house):
    """A file with words of its own is not touched, and a second run writes nothing."""
    mine = installed_house.write(WATCH, "GPU_LIMIT=7\n", user=True)
    assert [path.name for path in write_missing({}, installed_house.places)] == [NOTIFY, SMTP, LAB]
    assert write_missing({}, installed_house.places) == ()
    assert mine.read_text() == "GPU_LIMIT=7\n"


def test_a_file_of_the_checkout_is_there_already(tmp_path):
    """What config/ of a checkout has is not written once more for the user."""
    house = House(tmp_path)
    house.write(WATCH, "GPU_LIMIT=7\n")
    assert [path.parent for path in write_missing({}, house.places)] == [house.user] * 3


def test_a_variable_names_the_place(installed_house, tmp_path):
    """A file that its variable names is written there; a link that leads nowhere is not written through."""
    named = tmp_path / "elsewhere" / "smtp.env"
    environ = {"GPUWATCH_SMTP_CONFIG": str(named), "GPUWATCH_CONFIG": str(tmp_path / "link")}
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    written = write_missing(environ, installed_house.places)
    assert named in written
    assert not (tmp_path / "nowhere").exists()
    watch, _, smtp, _lab = files(environ, installed_house.places)
    assert (watch.named, smtp.path, smtp.exists) == ("GPUWATCH_CONFIG", named, True)


def test_a_change_is_seen_without_opening_the_files(installed_house, tmp_path):
    """A file that comes, changes, is replaced or goes changes the stamps; nothing else does."""
    seen = [stamps(files_to_check({}, installed_house.places))]

    def changed():
        seen.append(stamps(files_to_check({}, installed_house.places)))
        return seen[-1] != seen[-2]

    assert not changed()
    file = installed_house.write(WATCH, "GPU_LIMIT=1\n", user=True)
    assert changed()
    file.write_text("GPU_LIMIT=10\n")
    assert changed()
    (tmp_path / "new").write_text("GPU_LIMIT=12\n")
    (tmp_path / "new").replace(file)
    assert changed()
    file.unlink()
    assert changed()
    named = {"GPUWATCH_NOTIFY_CONFIG": str(tmp_path / "notify")}
    before = stamps(files_to_check(named, installed_house.places))
    (tmp_path / "notify").write_text("")
    assert stamps(files_to_check(named, installed_house.places)) != before
