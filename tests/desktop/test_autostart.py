"""What each of the three systems is told, and what is read back."""

from __future__ import annotations

import plistlib
import subprocess
import sys

import pytest

from gpuwatch_tray.desktop import autostart, entries
from gpuwatch_tray.desktop.autostart import (
    APPROVED,
    LABEL,
    NAME,
    RUN,
    AutostartError,
    LaunchAgent,
    LoginItem,
    RunKey,
    XdgAutostart,
    start_command,
    switched_off,
)

ODD = '/home/ada/my "GPUs" $HOME `x` 100% 显卡/gpuwatch-tray'


class RegistryValues:
    """HKEY_CURRENT_USER in memory."""

    def __init__(self):
        self.held = {}

    def get(self, key, name):
        return self.held.get((key, name))

    def set(self, key, name, value):
        self.held[key, name] = value

    def delete(self, key, name):
        self.held.pop((key, name), None)


@pytest.fixture(params=["xdg", "windows", "macos"])
def registry(request, tmp_path):
    if request.param == "windows":
        return RunKey(RegistryValues())
    return XdgAutostart(tmp_path, "/x.svg") if request.param == "xdg" else LaunchAgent(tmp_path / "new")


def program(folder, name="gpuwatch-tray"):
    path = folder / name
    path.touch()
    path.chmod(0o755)
    return str(path)


def test_on_off_and_back(registry, tmp_path):
    """Nothing at first; on is read back as on; off leaves nothing, also a second time."""
    kept = LoginItem(registry, (program(tmp_path),))
    assert not kept.on()
    assert kept.entry() is None
    kept.switch(on=True)
    assert kept.on()
    assert kept.entry().command == kept.command
    assert kept.entry().works
    kept.switch(on=False)
    kept.switch(on=False)
    assert kept.entry() is None
    assert kept.repair() == ""
    assert kept.entry() is None


def test_a_program_that_moved_is_mended(registry, tmp_path):
    """The next start of the new one puts its own path in; what is right is left alone."""
    old, new = program(tmp_path, "old"), program(tmp_path, "new folder % ü")
    LoginItem(registry, (old,)).switch(on=True)
    now = LoginItem(registry, (new, "-P"))
    assert now.repair() == ""  # another installation that works keeps its place
    assert now.entry().command == (old,)
    (tmp_path / "old").unlink()
    assert not now.entry().works
    assert old in now.repair()
    assert now.entry().command == (new, "-P")
    assert now.repair() == ""


def test_an_odd_path_survives(registry):
    """Blanks, quotes, `$`, `%` and other scripts, as far as the system's file names can have them."""
    path = ODD.replace('"', "") if isinstance(registry, RunKey) else ODD  # no Windows name has a quote
    registry.write((path, "-P", "-m", "gpuwatch_tray"))
    assert registry.read().command == (path, "-P", "-m", "gpuwatch_tray")


# --- XDG ----------------------------------------------------------------------------------------------


def test_the_entry_is_valid_and_complete(tmp_path):
    """desktop-file-validate has nothing to say, and what the tray page asks for is in it."""
    registry = XdgAutostart(tmp_path, "/icons/ok.svg")
    registry.write((ODD,))
    file = tmp_path / "gpuwatch-tray.desktop"
    done = subprocess.run(
        ["desktop-file-validate", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    values = entries.parse_desktop_entry(file.read_text())
    assert values["TryExec"] == ODD
    assert values["Icon"] == "/icons/ok.svg"
    assert (values["Terminal"], values["X-GNOME-Autostart-enabled"]) == ("false", "true")
    assert not [key for key in values if "Phase" in key]


@pytest.mark.parametrize("line", ["Hidden=true", "X-GNOME-Autostart-enabled=false"])
def test_what_a_desktop_switched_off_stays_off(tmp_path, line):
    """A start neither switches it on nor mends it; asked for, it is on again."""
    registry = XdgAutostart(tmp_path, "/x.svg")
    kept = LoginItem(registry, (program(tmp_path),))
    registry.write(("/gone",))
    file = tmp_path / "gpuwatch-tray.desktop"
    key = line.partition("=")[0]
    lines = [each for each in file.read_text().splitlines() if not each.startswith(key)]
    file.write_text("\n".join([*lines, line, ""]))
    before = file.read_text()
    assert not kept.on()
    assert kept.entry().switched_off == line
    assert kept.repair() == ""
    assert file.read_text() == before
    kept.switch(on=True)
    assert kept.on()


def test_a_persons_lines_outlive_the_mending(tmp_path):
    """A delay that somebody wrote into the entry is still there."""
    registry = XdgAutostart(tmp_path, "/x.svg")
    registry.write(("/gone",))
    file = tmp_path / "gpuwatch-tray.desktop"
    file.write_text(file.read_text() + "X-GNOME-Autostart-Delay=10\n")
    LoginItem(registry, (program(tmp_path),)).repair()
    assert "X-GNOME-Autostart-Delay=10\n" in file.read_text()


def test_no_home_and_no_utf8_are_said(tmp_path):
    """Where it cannot be written, one line says why, and no half a file is left."""
    with pytest.raises(AutostartError, match="no home folder"):
        XdgAutostart(tmp_path.relative_to("/"), "/x.svg").write(("/x",))
    with pytest.raises(AutostartError, match="not UTF-8"):
        XdgAutostart(tmp_path, "/x.svg").write(("/\udcff/gpuwatch-tray",))
    (tmp_path / "file").touch()
    with pytest.raises(AutostartError, match="Not a directory"):
        XdgAutostart(tmp_path / "file/autostart", "/x.svg").write(("/x",))
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks for Linux's place")
def test_the_place_is_the_users_configuration_folder(tmp_path):
    """XDG_CONFIG_HOME where it is absolute, else ~/.config."""
    named = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "c")}
    here = f"{tmp_path}/c/autostart/gpuwatch-tray.desktop"
    assert autostart.system_login_item("/x.svg", named).where == here
    named["XDG_CONFIG_HOME"] = "relative"
    here = f"{tmp_path}/.config/autostart/gpuwatch-tray.desktop"
    assert autostart.system_login_item("/x.svg", named).where == here


# --- Windows ------------------------------------------------------------------------------------------


def test_the_run_value_is_quoted():
    """A path with blanks is one program, not the first of its words."""
    values = RegistryValues()
    RunKey(values).write((r"C:\Users\Ada L\Scripts\gpuwatch-trayw.exe",))
    assert values.held == {(RUN, NAME): r'"C:\Users\Ada L\Scripts\gpuwatch-trayw.exe"'}


def test_task_managers_switch_is_honoured():
    """An odd first byte is off, until somebody asks for it again."""
    values = RegistryValues()
    kept = LoginItem(RunKey(values), (r"C:\x.exe",))
    kept.switch(on=True)
    values.held[APPROVED, NAME] = bytes([3, *[0] * 11])
    assert not kept.on()
    assert kept.entry().switched_off == "Task Manager"
    assert kept.repair() == ""
    kept.switch(on=True)
    assert kept.on()
    assert [switched_off(state) for state in (None, b"", bytes([2]), bytes([6]), bytes([3]), bytes([7]))] == [
        *(False, False, False, False),
        *(True, True),
    ]


def test_what_windows_would_cut_is_refused():
    """A value of more than 260 characters would not be started, and nobody would be told."""
    with pytest.raises(AutostartError, match="260"):
        RunKey(RegistryValues()).write(("C:\\" + "x" * 260,))


# --- macOS --------------------------------------------------------------------------------------------


def test_the_agent_is_what_launchd_takes(tmp_path):
    """Absolute arguments, at load, and again after a crash but not after Quit."""
    LaunchAgent(tmp_path).write((ODD,))
    agent = plistlib.loads((tmp_path / f"{LABEL}.plist").read_bytes())
    assert agent["ProgramArguments"] == [ODD]
    assert agent["RunAtLoad"] is True
    assert agent["KeepAlive"] == {"SuccessfulExit": False}


def test_a_damaged_agent_is_said(tmp_path):
    """It is named, with what to do, and not taken for nothing."""
    (tmp_path / f"{LABEL}.plist").write_bytes(b"<plist")
    with pytest.raises(AutostartError, match="delete it"):
        LaunchAgent(tmp_path).read()


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
