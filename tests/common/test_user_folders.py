"""Where this user's files are, by the XDG Base Directory Specification and as platformdirs has them."""

from __future__ import annotations

import os
import pwd
import sys

import platformdirs  # what others go by
import pytest

from gpuwatch_tray.common import user_folders

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="XDG")
VARIABLES = ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")


@pytest.mark.parametrize(
    "variables",
    [
        {"HOME": "/home/ada"},
        {"HOME": "/home/ada", "XDG_CONFIG_HOME": "/etc/ada", "XDG_STATE_HOME": "/var/ada"},
        {"HOME": "/home/ada", "XDG_CONFIG_HOME": "relative", "XDG_STATE_HOME": " "},
        {"HOME": "/home/ada", "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": ""},
        {"HOME": ""},
        {"HOME": "relative"},
        {},
    ],
)
def test_they_are_where_platformdirs_has_them(monkeypatch, variables):
    """A relative one counts as none, and without HOME the account has one."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for kind in ("config", "state", "log"):
        told = getattr(user_folders, f"{kind}_folder")()
        assert told == getattr(platformdirs, f"user_{kind}_dir")("gpuwatch-tray")


def test_an_account_without_a_home_has_none(monkeypatch):
    """The folders are relative then, which nobody uses."""

    def refuse(_uid):
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", refuse)
    assert user_folders.config_folder({}) == "~/.config/gpuwatch-tray"
    assert user_folders.log_folder({}) == "~/.local/state/gpuwatch-tray/log"


def test_the_sessions_folder_is_the_named_one_else_the_systems():
    """Cron has no XDG_RUNTIME_DIR, though the user's session may have a folder."""
    systems = f"/run/user/{os.getuid()}/gpuwatch-tray"
    assert user_folders.runtime_folders({}) == (systems,)
    assert user_folders.runtime_folders({"XDG_RUNTIME_DIR": "x"}) == (systems,)
    assert user_folders.runtime_folders({"XDG_RUNTIME_DIR": "/x"}) == ("/x/gpuwatch-tray", systems)
