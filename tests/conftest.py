"""What every test starts from: no settings of the person who runs them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from gpuwatch_tray import i18n

VARIABLES = (
    "GPUWATCH_CONFIG",
    "GPUWATCH_NOTIFY_CONFIG",
    "GPUWATCH_SMTP_CONFIG",
    "GPUWATCH_CACHE",
    "MYGPU",
    "LANGUAGE",
    "LC_ALL",
    "LC_MESSAGES",
)


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch, tmp_path_factory):
    """No variable and no file of the tester reaches a test."""
    home = tmp_path_factory.mktemp("home")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, folder in {
        "HOME": "",
        "XDG_CONFIG_HOME": ".config",
        "XDG_STATE_HOME": ".local/state",
        "XDG_CACHE_HOME": ".cache",
    }.items():
        monkeypatch.setenv(name, str(home / folder))
    monkeypatch.setenv("LANG", "C.UTF-8")
    i18n.set_language(i18n.ENGLISH)


@pytest.fixture
def short():
    """A folder with a short path: that of a socket may have 107 bytes (unix(7)), and tmp_path's is long."""
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        yield Path(folder)
