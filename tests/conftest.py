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


@pytest.fixture
def installed(tmp_path):
    """The program as a user has it, in folders of the test's own."""
    from tests.support.installed import Installed

    return Installed(tmp_path)


@pytest.fixture
def server(installed):
    """A mail server that the `installed` program of the test mails through."""
    from tests.support.mailserver import MailServer

    with MailServer() as running:
        installed.mail_through(running)
        yield running


@pytest.fixture(params=["WAL", "DELETE"])
def journal(request, monkeypatch):
    """SQLite's journal mode, which the file system decides: WAL is refused on a network share."""
    from gpuwatch_tray.store import state_file

    monkeypatch.setattr(state_file, "JOURNAL", request.param)
    return request.param
