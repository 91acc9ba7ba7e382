"""The files that desktop, shells and systemd know the program by."""

from __future__ import annotations

import subprocess

import pytest

from gpuwatch_tray.desktop import entries
from gpuwatch_tray.desktop.entries import DesktopFilesError, GeneratedDocs, ShareFolder
from tests.support.installed import Installed

PAPERS = GeneratedDocs("man", "bash", "fish")
ODD = '/home/ada/my "GPUs" $HOME `x` 100% 显卡/gpuwatch-tray'


def found(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_on_and_off_leave_nothing_but_the_users_own(tmp_path):
    """`on` writes what it says, `off` takes all of it away, and a neighbour's file stays with its folder."""
    installed = Installed(tmp_path)
    share = tmp_path / "home/.local/share"
    neighbour = share / "applications/other.desktop"
    neighbour.parent.mkdir(parents=True)
    neighbour.touch()
    before = found(share)
    told = installed.run("setup", "desktop", "on").stdout.splitlines()
    assert told[0].startswith("on: ")
    assert sorted(told[1:]) == sorted(str(share / name) for name in found(share) if name not in before)
    assert installed.run("setup", "desktop", "status").stdout.splitlines() == told
    (share / "icons/hicolor/16x16/apps/gpuwatch-tray.png").unlink()
    assert installed.run("setup", "desktop").stdout.startswith("incomplete: ")
    for _twice in range(2):
        off = installed.run("setup", "desktop", "off")
        assert (off.returncode, off.stdout) == (0, "off: not in the desktop's menu\n")
    assert found(share) == before
    assert [path.name for path in share.iterdir()] == ["applications"]
    assert installed.run("--demo", "setup", "desktop", "on").returncode == 2


def test_what_a_package_brought_is_named(tmp_path):
    """Installed for everybody, the menu has it, and `off` is no promise that it has not."""
    installed = Installed(tmp_path)
    entry = tmp_path / "usr/applications/gpuwatch-tray.desktop"
    entry.parent.mkdir(parents=True)
    entry.touch()
    told = installed.run("setup", "desktop", XDG_DATA_DIRS=f"relative:{tmp_path / 'usr'}")
    assert told.stdout == f"on for all users, by a package: {entry}\n"


@pytest.mark.parametrize("command", ["/usr/bin/gpuwatch-tray", ODD])
def test_the_validators_find_nothing(tmp_path, command):
    """desktop-file-validate and appstreamcli accept the files, whatever the program's path."""
    place = ShareFolder(tmp_path / "share")
    files = entries.desktop_files((command,), PAPERS)
    place.install(files)
    assert place.installed(files) == list(files)
    checks = (
        ["desktop-file-validate", tmp_path / "share/applications/gpuwatch-tray.desktop"],
        ["appstreamcli", "validate", "--no-net", *(tmp_path / "share/metainfo").iterdir()],
    )
    for check in checks:
        done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "W:" not in done.stdout


def test_the_unit_of_watch_is_one_for_systemd(tmp_path):
    """systemd-analyze verifies it, with a program in an odd folder."""
    program = tmp_path / 'my "GPUs" $HOME 100% 显卡/gpuwatch-tray'
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "gpuwatch-tray.service"
    unit.write_text(entries.systemd_unit((str(program),)))
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", unit],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_what_cannot_be_written_is_named(tmp_path):
    """The file in the way and the reason, in one line; without a home there is no place."""
    (tmp_path / "applications").touch()
    with pytest.raises(DesktopFilesError, match=r"applications: (Not a directory|File exists)"):
        ShareFolder(tmp_path).install(entries.desktop_files(("/x",), PAPERS))
    with pytest.raises(DesktopFilesError, match="no home folder"):
        ShareFolder(tmp_path.relative_to("/")).install({})


def test_the_place_is_the_users_share_folder(tmp_path):
    """XDG_DATA_HOME where it is absolute, else ~/.local/share."""
    assert (
        entries.user_share_folder({"HOME": "/h", "XDG_DATA_HOME": "/d"}).folder
        == ShareFolder(tmp_path / "/d").folder
    )
    assert str(entries.user_share_folder({"HOME": "/h", "XDG_DATA_HOME": "d"}).folder) == "/h/.local/share"
