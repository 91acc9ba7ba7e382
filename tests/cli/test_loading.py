"""
What each command loads, which is most of the time that a short one takes: times cannot be asserted, this can.

The ceilings are a tenth above what is loaded with the libraries of `requirements.lock`. Where one is passed,
ask first whether the command needs what came: `python -X importtime -m gpuwatch_tray COMMAND` shows it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import gpuwatch_tray
from tests.driver.scenario import FakeGpu, FakeProcess, Scenario
from tests.e2e import rig
from tests.e2e.app import App
from tests.support.installed import MIB
from tests.support.timing import wait_until

TOLD = {"PYTHONPROFILEIMPORTTIME": "1"}
# What no command loads before it needs it, by the beginnings of the names.
MAIL = ("smtplib", "email", "google", "requests", "keyring", "gpuwatch_tray.notify.email")
DESKTOP = (
    "asyncio",
    "dbus_fast",
    "pystray",
    "plyer",
    "PIL",
    "gpuwatch_tray.desktop.dbus",
    "gpuwatch_tray.tray",
)
STATE = ("sqlite3", "filelock", "gpuwatch_tray.store", "gpuwatch_tray.engine", "gpuwatch_tray.history")
READING = ("pynvml", "ctypes", "gpuwatch_tray.sources")
# What Linux can do without; and what takes 2 ms of a short command, but where pynvml or psutil loads it.
SPARED = ("platformdirs", "multiprocessing")
HEAVY = ("concurrent", "gpuwatch_tray.rules")
LIBRARIES = ("subprocess", "shutil", "tempfile")
WORDY = ("inspect", "ast", "dis")  # what typing_extensions brings
# What the tray does without until there is a lab, or somebody asks.
LAB = (
    "gpuwatch_tray.lab",
    "gpuwatch_tray.alerts.lab_reminders",
    "gpuwatch_tray.app.lab_monitor",
    "gpuwatch_tray.engine.lab_rule_book",
    "gpuwatch_tray.rules.lab_rules",
    "gpuwatch_tray.tray.menu.lab_rows",
)
SELDOM = (
    "argparse",
    "_bz2",
    "_lzma",
    "pickle",
    "gpuwatch_tray.engine.explain",
    "gpuwatch_tray.export.rows",
    "gpuwatch_tray.settings.template",
)
SHOWN = ("rich", "http", "xml.dom", "gpuwatch_tray.report.page", "gpuwatch_tray.drawing.chart")


def loaded(told):
    """The modules that Python says it has loaded, in their order."""
    lines = [line.split("|")[-1].strip() for line in told.splitlines() if line.startswith("import time:")]
    return lines[1:]  # below the heading


def bare():
    """What Python loads without any program."""
    told = subprocess.run(
        [sys.executable, "-c", "pass"],
        env=os.environ | TOLD,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(loaded(told.stderr))


def check(modules, most, unwanted):
    """Compare with a ceiling, and with what must not be there."""
    found = [name for name in modules if f"{name}.".startswith(tuple(f"{begin}." for begin in unwanted))]
    print(f"{len(modules)} modules of {most}")
    assert found == []
    assert len(modules) <= most


@pytest.mark.driver
@pytest.mark.parametrize(
    ("words", "most", "unwanted"),
    [
        ("--version", 30, ("logging", "argparse", "msgspec", "gpuwatch_tray.cli")),
        ("ps", 210, (*MAIL, *DESKTOP, *STATE, *SHOWN, *WORDY, *HEAVY)),
        ("ps --all", 210, (*MAIL, *DESKTOP, *STATE, *SHOWN, *WORDY, *HEAVY)),
        (
            "status",
            168,
            (*MAIL, *DESKTOP, *STATE, *READING, *SHOWN, *WORDY, *LIBRARIES, "gpuwatch_tray.rules"),
        ),
        ("check --dry-run", 381, ("google", "keyring", *DESKTOP, *SHOWN)),
        ("alerts", 315, (*MAIL, *DESKTOP, *READING, *SHOWN)),
        ("mail deliver", 316, (*DESKTOP, *READING, *SHOWN)),
    ],
)
def test_a_command_loads_what_it_needs(installed, words, most, unwanted):
    """A bounded number of modules, and none of another command's libraries."""
    rows = [FakeProcess(os.getpid(), 900 * MIB)]
    installed.play(Scenario(gpus=[FakeGpu.numbered(0, *rows), FakeGpu.numbered(1)]))
    done = installed.run(*words.split(), **TOLD)
    assert "Traceback" not in done.stderr
    check(set(loaded(done.stderr)) - bare(), most, (*SPARED, *unwanted))


@pytest.mark.parametrize("words", ["ps", "status", "alerts", "runs"])
def test_a_short_command_does_without_openssl(installed, words):
    """It takes 2 ms and 4 MB: Python's own code of the hashes will do."""
    code = (
        "import sys; from gpuwatch_tray.__main__ import main; main();"
        "print([name for name in ('_ssl', '_hashlib') if sys.modules.get(name)], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, words],
        env=installed.environment,
        capture_output=True,
        text=True,
        cwd=Path(gpuwatch_tray.__file__).parents[1],
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_no_module_of_the_program_makes_dataclasses():
    """They are slower to make and to fill than structs, and `replace` takes one of the two kinds alone."""
    package = Path(gpuwatch_tray.__file__).parent
    using = [file.name for file in package.rglob("*.py") if "dataclasses" in file.read_text("utf-8")]
    assert using == []


@pytest.mark.desktop
@pytest.mark.driver
def test_the_tray_loads_what_it_needs(installed, tmp_path):
    """Neither OpenSSL nor Pillow nor a library of the mail, and a bounded number of modules."""
    rig.require()
    installed.environment |= TOLD
    with rig.desktop(tmp_path / "desk") as desk, closing(App(installed, desk)) as app:

        def registered():
            watcher = (rig.WATCHER, "/StatusNotifierWatcher", rig.WATCHER)
            return desk.client.get_all(watcher).get("RegisteredStatusNotifierItems")

        wait_until(registered, "the icon")
        modules = set(loaded(app.log.read_text())) - bare()
        mapped = Path(f"/proc/{app.process.pid}/maps").read_text()
    unwanted = (*MAIL, *SHOWN, *SPARED, *LAB, *SELDOM, "_ssl", "PIL", "html", "plyer", "pystray")
    check(modules, 450, unwanted)
    assert [name for name in ("libssl", "libcrypto", "_hashlib") if name in mapped] == []
