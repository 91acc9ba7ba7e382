"""`when run` starts its command before the program is loaded, and only where that changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from gpuwatch_tray.app.early_start import read_words, state_folder
from gpuwatch_tray.settings import load

HEAVY = {
    "argparse",
    "dataclasses",
    "enum",
    "gettext",
    "json",
    "logging",
    "pathlib",
    "re",
    "subprocess",
    "typing",
}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--", "true"], (["true"], "", "", [])),
        (["--name", "a b", "--", "x", "--", "-y"], (["x", "--", "-y"], "a b", "", [])),
        (["--name=a=b", "--name", "c", "--", "x"], (["x"], "c", "", [])),
        (["--log", "f", "--attach", "*.csv", "--attach=b", "--", "x"], (["x"], "", "f", ["*.csv", "b"])),
    ],
)
def test_plain_words_are_read(words, found):
    """As the parser reads them."""
    plain = read_words(words)
    assert (list(plain.argv), plain.name, plain.log, list(plain.attach)) == found


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--"],
        ["true"],
        ["--name", "--", "x"],
        ["--name"],
        ["--nam", "a", "--", "x"],
        ["--help", "--", "x"],
        ["--name", "-x", "--", "y"],
        ["--verbose", "--", "x"],
        ["x", "--", "y"],
    ],
)
def test_all_else_is_left_to_the_parser(words):
    """It may be a mistake, which must keep the command from starting."""
    assert read_words(words) is None


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"XDG_STATE_HOME": "/var/x"},
        {"XDG_STATE_HOME": " "},
        {"GPUWATCH_CACHE": "/srv/state"},
        {"GPUWATCH_CACHE": "/srv/state", "XDG_STATE_HOME": "/var/x"},
    ],
)
def test_the_state_is_where_the_settings_have_it(monkeypatch, tmp_path, variables):
    """The log must be in the state's folder; asked before the settings can be."""
    for name in ("GPUWATCH_CACHE", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert state_folder(os.environ) == str(load(os.environ)[0].state)


@pytest.mark.parametrize("named", ["state", "~/state"])
def test_a_state_that_takes_more_to_know_is_left_to_the_settings(named):
    """A relative folder, or one below the home."""
    assert state_folder({"GPUWATCH_CACHE": named}) is None


def test_nothing_that_takes_long_is_loaded_before_the_command():
    """What stands between the interpreter's start and the command's is a few small modules."""
    code = "import sys; from gpuwatch_tray.app import early_start; print(*sys.modules)"
    words = [sys.executable, "-S", "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.driver
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_outputs_do_not_end_the_command(installed, closed):
    """Their numbers go to no file of ours, and what is written there ends nothing."""
    command = "sh -c 'echo a; sleep 0.3; echo b; exit 3'"
    script = f"'{sys.executable}' -m gpuwatch_tray when run -- {command} {closed}"
    done = subprocess.run(["sh", "-c", script], env=installed.environment, check=False, timeout=60)
    assert done.returncode == 3
    (folder,) = (installed.state / "runs").glob("0*")
    assert (folder / "head").read_text() == "a\nb\n"


def closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def full_disk():
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.driver
@pytest.mark.parametrize("open_nowhere", [closed_pipe, full_disk])
def test_a_standard_error_that_takes_nothing_does_not_end_the_run(installed, open_nowhere):
    """What we have to complain of is lost; the command is waited for, and its exit code is its own."""
    words = [sys.executable, "-m", "gpuwatch_tray", "when", "run", "--", "sh", "-c", "sleep 1; exit 3"]
    nowhere = open_nowhere()
    done = subprocess.run(
        words, stdout=subprocess.DEVNULL, stderr=nowhere, env=installed.environment, check=False, timeout=60
    )
    os.close(nowhere)
    assert done.returncode == 3
    (told,) = json.loads(installed.run("runs", "--json").stdout)
    assert told["code"] == 3


NOT_WHOLE = """
import sys
from gpuwatch_tray.__main__ import main
sys.modules["gpuwatch_tray.cli"] = None
sys.argv = ["gpuwatch-tray", "when", "run", "--", "sh", "-c", "sleep 1; echo x; exit 3"]
sys.exit(main())
"""


def test_an_installation_that_is_being_replaced_does_not_end_the_command(tmp_path):
    """What cannot be imported is told; the command is waited for."""
    done = subprocess.run(
        [sys.executable, "-c", NOT_WHOLE],
        env={**os.environ, "GPUWATCH_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (3, "x\n")
    assert "gpuwatch_tray.cli" in done.stderr


BROKEN = """
import sys
import gpuwatch_tray.cli as cli
from gpuwatch_tray.__main__ import main
def fail(*_args): raise cli.WorkError("no context")
cli.create_context = fail
sys.argv = ["gpuwatch-tray", "when", "run", "--", *sys.argv[1:]]
sys.exit(main())
"""


@pytest.mark.driver
@pytest.mark.parametrize(
    ("words", "code", "out", "said"),
    [
        (["sh", "-c", "echo x; exit 3"], 3, "x\n", ""),
        (["no-such-program"], 127, "", "no-such-program: No such"),
    ],
)
def test_what_fails_of_the_rest_does_not_end_the_command(installed, words, code, out, said):
    """It has started by then: it is waited for, its exit code is its own, and the failure is told."""
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, *words],
        env=installed.environment,
        capture_output=True,
        text=True,
        cwd=installed.folder,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, out)
    assert "gpuwatch-tray: no context\n" in done.stderr
    assert said in done.stderr
