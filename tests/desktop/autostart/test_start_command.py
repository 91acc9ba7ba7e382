"""The command that is started at login."""

from __future__ import annotations

import pytest

from gpuwatch_tray.desktop.autostart import start_command


@pytest.fixture
def venv(tmp_path):
    """Make a virtual environment's folder of programs, with our script in it."""
    folder = tmp_path / "venvs/gpuwatch-tray/bin"
    folder.mkdir(parents=True)
    for name in ("python", "gpuwatch-tray", "gpuwatch-trayw.exe"):
        (folder / name).touch()
    return folder


def test_the_script_beside_the_interpreter_is_started(venv, tmp_path):
    """A virtual environment's own script, by its absolute path."""
    assert start_command({"HOME": str(tmp_path)}, str(venv / "python")) == (str(venv / "gpuwatch-tray"),)


def test_the_link_of_pipx_is_preferred(venv, tmp_path):
    """It stays when pipx makes the environment anew, and only a link to this very script counts."""
    shims = tmp_path / ".local/bin"
    shims.mkdir(parents=True)
    (shims / "gpuwatch-tray").symlink_to(venv / "gpuwatch-tray")
    found = start_command({"HOME": str(tmp_path)}, str(venv / "python"))
    assert found == (str(shims / "gpuwatch-tray"),)
    other = tmp_path / "bin"
    other.mkdir()
    (other / "gpuwatch-tray").symlink_to(venv / "gpuwatch-tray")
    environ = {"HOME": str(tmp_path), "PIPX_BIN_DIR": str(other)}
    assert start_command(environ, str(venv / "python")) == (str(other / "gpuwatch-tray"),)
    (shims / "gpuwatch-tray").unlink()
    (shims / "gpuwatch-tray").symlink_to("/usr/bin/env")
    found = start_command({"HOME": str(tmp_path)}, str(venv / "python"))
    assert found == (str(venv / "gpuwatch-tray"),)


def test_without_a_script_the_module_is_started(tmp_path):
    """By the interpreter's absolute path; the folder that the session starts in holds no modules for it."""
    python = str(tmp_path / "python")
    assert start_command({}, python) == (python, "-P", "-m", "gpuwatch_tray")


def test_windows_starts_the_windowed_script(venv):
    """A console script would open a console at each login."""
    found = start_command({}, str(venv / "python"), "win32")
    assert found == (str(venv / "gpuwatch-trayw.exe"),)


def test_this_installation_is_found():
    """The command that is settled on here exists and is absolute."""
    (program, *_) = start_command()
    assert program.startswith("/")
