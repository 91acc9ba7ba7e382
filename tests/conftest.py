"""What every test starts from: no settings of the person who runs them."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gpuwatch_tray import i18n

VARIABLES = (
    "GPUWATCH_CONFIG",
    "GPUWATCH_NOTIFY_CONFIG",
    "GPUWATCH_SMTP_CONFIG",
    "GPUWATCH_LAB_CONFIG",
    "GPUWATCH_CACHE",
    "MYGPU",
    "LANGUAGE",
    "LC_ALL",
    "LC_MESSAGES",
)
# A shell has these ignored by what it starts in the background, nohup the last.
OF_THE_TERMINAL = ("SIGINT", "SIGQUIT", "SIGHUP")


def pytest_configure(config):
    # A busy machine is slow, and that is no fault of what is tested.
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")
    for name in OF_THE_TERMINAL:
        number = getattr(signal, name, None)  # Windows has one of them
        if number is not None and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # programs inherit what is ignored, and no handler
    config.addinivalue_line(
        "markers",
        "configured(notify='', greeted=False, **keys): `installed`'s notify.env, whether it has greeted, "
        "and the keys of its gpu-watch.env",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give out the files of tests in an order of our own."""
    from tests.support.scheduling import DesktopsFirst

    return DesktopsFirst(config, log) if config.getvalue("dist") == "loadfile" else None


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
def folder():
    """An empty folder, in memory where there is one."""
    from tests.support.folders import memory_folder

    made = memory_folder()
    yield made
    shutil.rmtree(made)


@pytest.fixture
def store(tmp_path):
    """An empty store of the computer `box`."""
    from gpuwatch_tray.store import Store

    opened = Store(tmp_path / "state", "box")
    yield opened
    opened.close()


@pytest.fixture
def installed(request, tmp_path):
    """The program as a user has it, in the test's own folders, with the settings of the mark `configured`."""
    from tests.support.installed import Installed

    made = Installed(tmp_path)
    if mark := request.node.get_closest_marker("configured"):
        made.set_up(**mark.kwargs)
    return made


@pytest.fixture
def server(installed):
    """A mail server that the `installed` program of the test mails through."""
    from tests.support.mailserver import MailServer

    with MailServer() as running:
        installed.mail_through(running)
        yield running


@pytest.fixture
def chats(installed):
    """Chat services that the `installed` program of the test reaches at their real addresses."""
    from tests.support.chatserver import ChatServer

    with ChatServer() as running:
        installed.environment |= running.variables
        yield running


@pytest.fixture
def ring(installed, tmp_path):
    """The keyring of the programs that `installed` runs."""
    from tests.support.file_keyring import FileKeyring

    made = FileKeyring(tmp_path / "ring")
    installed.environment |= made.variables
    return made


@pytest.fixture
def google():
    """A local Google in its first state: the sign-in, the tokens and Gmail."""
    from tests.support.googleserver import GoogleServer

    with GoogleServer() as running:
        yield running


@pytest.fixture
def two(tmp_path):
    """The PIDs of two running processes, the first of which has a secret in its command."""
    from tests.support.workers import workers

    secret = ["train.py", "--token", "hf_canary0123456789abcdefghijkl"]
    with workers(tmp_path, secret, ["eval.py"]) as children:
        yield [child.pid for child in children]


@pytest.fixture(params=["WAL", "DELETE"])
def journal(request, monkeypatch):
    """SQLite's journal mode, which the file system decides: WAL is refused on a network share."""
    from gpuwatch_tray.store import state_file

    monkeypatch.setattr(state_file, "JOURNAL", request.param)
    return request.param


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    """The address of a private session bus without a panel."""
    from tests.e2e import rig

    rig.require()
    with rig.session_bus(tmp_path_factory.mktemp("bus")) as where:
        yield where


@pytest.fixture
def client(address):
    """A client of that bus, to serve fakes on."""
    from tests.e2e.client import BusClient

    with BusClient(address) as connected:
        yield connected


@pytest.fixture
def bus(address):
    """The product's connection with that bus, its loop turning on a thread of its own."""
    from gpuwatch_tray.desktop.dbus import SessionBus

    connected = SessionBus.connect(address)
    turning = threading.Thread(target=connected.run)
    turning.start()
    yield connected
    connected.stop()
    turning.join(60)
    assert not turning.is_alive()
    connected.close()


@pytest.fixture(scope="session")
def lab_rig():
    """A lab of a real Prometheus, a real Alertmanager and made-up hosts, which each test leaves as it was."""
    from tests.lab.rig import Rig

    with Rig() as made:
        yield made


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A real browser, for the pages and mails that people see."""
    from tests.support.browser import Browser

    with Browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def disk(monkeypatch, tmp_path):
    """A disk that can be full or broken."""
    from tests.store import faults

    return faults.install(monkeypatch, tmp_path)
