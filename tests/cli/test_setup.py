"""`setup config`, as a user runs it."""

from __future__ import annotations

import pytest

from tests.support.installed import Installed


@pytest.fixture
def bare(tmp_path):
    """Provide an installation whose user has no file of settings yet."""
    installed = Installed(tmp_path)
    for name in ("gpu-watch.env", "notify.env", "smtp.env", "lab.env"):
        (tmp_path / name).unlink()
    return installed


def test_it_writes_them_once(bare):
    """The first run writes the four, the second leaves them; what was written has no mistake."""
    first = bare.run("setup", "config")
    assert (first.returncode, first.stdout.count("written: ")) == (0, 4)
    again = bare.run("setup", "config")
    assert (again.returncode, again.stdout.count("already there: ")) == (0, 4)
    checked = bare.run("setup", "config", "--check")
    place = f"{bare.folder / 'gpu-watch.env'}:11: TO_EMAIL"
    assert (checked.returncode, checked.stdout.splitlines()) == (
        0,
        [
            "no mistakes in the settings",
            f"Email is off: {place} is still the example address; replace it with yours",
            "`gpuwatch-tray check` and `gpuwatch-tray mail test` do nothing without an address.",
        ],
    )
    bare.configure()
    assert bare.run("setup", "config", "--check").stdout == "no mistakes in the settings\n"


def test_check_names_every_mistake(bare):
    """All problems at once, each with file and line, and exit code 2."""
    bare.write("gpu-watch.env", "GPU_LIMIT=two\n\nPOLL_SEC=never\n")
    bare.write("notify.env", "EMAIL_WHEN=sometimes\n")
    bare.write("smtp.env")
    checked = bare.run("setup", "config", "--check")
    assert checked.returncode == 2
    for place in ("gpu-watch.env:1: GPU_LIMIT", "gpu-watch.env:3: POLL_SEC", "notify.env:1: EMAIL_WHEN"):
        assert place in checked.stderr


def test_path_says_where_they_are(bare):
    """A path a line, with what is missing and which variable names it."""
    (bare.folder / "smtp.env").write_text("")
    watch, _notify, smtp, _lab = bare.run("setup", "config", "--path").stdout.splitlines()
    assert watch == f"{bare.folder / 'gpu-watch.env'}  (not there, set by GPUWATCH_CONFIG)"
    assert smtp == f"{bare.folder / 'smtp.env'}  (set by GPUWATCH_SMTP_CONFIG)"


def test_a_folder_that_cannot_be_written_is_an_error(bare):
    """One line that names the file, and exit code 1."""
    (bare.folder / "plain").write_text("")
    failed = bare.run("setup", "config", GPUWATCH_CONFIG=str(bare.folder / "plain" / "gpu-watch.env"))
    assert failed.returncode == 1
    assert failed.stderr.startswith("gpuwatch-tray: the settings cannot be written: ")
    assert failed.stderr.count("\n") == 1
