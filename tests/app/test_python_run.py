"""`gpuwatch_tray.run` in a Python program of its own: told like a command, and never in its way."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.driver, pytest.mark.configured(GPU_LIMIT=4)]


def program(installed, code, **variables):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=installed.environment | variables,
        cwd=installed.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def records(installed):
    return json.loads(installed.run("runs", "--json").stdout)


def test_an_exception_is_told_with_its_cause_and_goes_on(installed, server):
    """The block's error is the program's own; the mail has its cause."""
    done = program(installed, "import gpuwatch_tray\nwith gpuwatch_tray.run('base'):\n    import torchx\n")
    assert done.returncode == 1
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'torchx'\n")
    (mail,) = server.wait_for(1)
    assert "- base: the module torchx is missing" in mail.text
    (record,) = records(installed)
    assert (record["name"], record["code"], record["kind"]) == ("base", 1, "missing_module")


def test_a_decorated_function_is_told_at_each_call(installed, server):
    """Its value is returned, and each call is a run."""
    code = "import gpuwatch_tray\n@gpuwatch_tray.run('f')\ndef f(x): return x + 1\nprint(f(1), f(2))\n"
    assert program(installed, code).stdout == "2 3\n"
    assert [record["code"] for record in records(installed)] == [0, 0]
    assert all("Command finished" in mail.message["Subject"] for mail in server.wait_for(2))


@pytest.mark.parametrize(
    ("ending", "code"),
    [("raise SystemExit(0)", 0), ("raise SystemExit(4)", 4), ("raise KeyboardInterrupt", 130)],
)
def test_the_way_it_ends_is_the_programs(installed, ending, code):
    """sys.exit and Ctrl-C pass through, with the code that a shell has."""
    program(installed, f"import gpuwatch_tray\nwith gpuwatch_tray.run():\n    {ending}\n")
    (record,) = records(installed)
    assert record["code"] == code


def test_a_child_of_the_program_does_not_end_the_run(installed, server):
    """A fork that leaves the block, as a worker does, is not the end; the program's own is."""
    code = (
        "import os, sys, gpuwatch_tray\n"
        "with gpuwatch_tray.run('base'):\n"
        "    if not (child := os.fork()):\n        sys.exit(7)\n"
        "    os.waitpid(child, 0)\n"
    )
    assert program(installed, code).returncode == 0
    (record,) = records(installed)
    assert record["code"] == 0
    assert "Command finished" in server.wait_for(1)[0].message["Subject"]


def test_settings_that_are_wrong_do_not_stop_the_program(installed):
    """One line on standard error at most; the block runs."""
    done = program(
        installed,
        "import gpuwatch_tray\nwith gpuwatch_tray.run():\n    print('done')\n",
        MYGPU="",
        GPUWATCH_CACHE="/proc/nowhere",
    )
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr.startswith("gpuwatch-tray: ")


def test_a_fault_of_the_telling_does_not_stop_the_program(installed):
    """An error that nobody foresaw at its start is a line; the block runs, and its value is its own."""
    code = (
        "import gpuwatch_tray\nfrom gpuwatch_tray.sources import processes\n"
        "def fail(*_args): raise KeyError('unforeseen')\nprocesses.process_identity = fail\n"
        "with gpuwatch_tray.run():\n    print('done')\n"
    )
    done = program(installed, code)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr == "gpuwatch-tray: KeyError: 'unforeseen'\n"


def test_the_import_is_light():
    """A notebook pays for the package's name alone until a run begins."""
    code = "import sys, gpuwatch_tray; print(sorted(n for n in sys.modules if n.startswith('gpuwatch_tray')))"
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said == "['gpuwatch_tray']\n"
