"""`ps` through the installed console script, on the real binding and real processes."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.driver.scenario import DRIVER_NOT_LOADED, FakeGpu, FakeProcess, Scenario, without_driver
from tests.support.installed import MIB
from tests.support.workers import workers

pytestmark = pytest.mark.driver


@pytest.fixture
def process_with_key(tmp_path):
    with workers(tmp_path, ["train.py", "--api-key", "sk-canary0123456789abcdef"]) as (child,):
        yield child


def test_ps_prints_the_bash_tools_list(installed, process_with_key, tmp_path):
    """The list is the Bash tool's to the letter, with the elapsed time that ps itself prints."""
    pid = process_with_key.pid
    installed.play(Scenario(gpus=[FakeGpu.numbered(0, FakeProcess(pid, 2828 * MIB))]))
    before = subprocess.check_output(["ps", "-o", "etimes=", "-p", str(pid)], text=True)
    done = installed.run("ps")
    after = subprocess.check_output(["ps", "-o", "etimes=", "-p", str(pid)], text=True)
    header, cwd, cmd, empty, end = done.stdout.split("\n")
    match = re.fullmatch(rf"GPU=0  MEM=2828MiB  PID={pid}  ETIME=(\d\d):(\d\d)", header)
    assert match is not None
    assert int(before) <= int(match[1]) * 60 + int(match[2]) <= int(after)
    assert cwd == f"  CWD: {tmp_path.resolve()}"
    # on one's own terminal, one's own command is shown as it is
    assert cmd.endswith("train.py --api-key sk-canary0123456789abcdef")
    assert cmd.startswith("  CMD: ")
    assert (empty, end, done.stderr, done.returncode) == ("", "", "", 0)


def test_ps_of_nothing(installed):
    """Where nothing runs, --all says so in words; the list of one's own stays the Bash tool's: empty."""
    assert installed.run("ps", "--all").stdout == "no GPU processes\n"
    assert installed.run("ps").stdout == ""
    assert json.loads(installed.run("ps", "--all", "--json").stdout)["processes"] == []


def test_ps_leaves_out_graphics_and_shows_a_process_without_memory(installed, process_with_key):
    """A graphics-only process is no compute process; memory that the driver does not give is [N/A]."""
    installed.play(
        Scenario(
            gpus=[
                FakeGpu.numbered(0, FakeProcess(process_with_key.pid, None), FakeProcess(1, 10 * MIB)),
                FakeGpu.numbered(1, FakeProcess(process_with_key.pid, 5 * MIB, kinds="G")),
            ]
        )
    )
    headers = [line for line in installed.run("ps").stdout.splitlines() if line.startswith("GPU=")]
    assert [line.split("  PID")[0] for line in headers][:1] == ["GPU=0  MEM=[N/A]MiB"]
    assert not any(line.startswith("GPU=1") for line in headers)
    everyone = installed.run("ps", "--all").stdout
    assert re.search(rf"GPU=1  MEM=5MiB  PID={process_with_key.pid}  .*TYPE=G$", everyone, re.MULTILINE)
    assert re.search(r"^USER=\S+  GPUS=2  PROCESSES=\d  MEM=\d+\+\?MiB$", everyone, re.MULTILINE)
    assert "users" in json.loads(installed.run("ps", "--all", "--json").stdout)
    assert "users" not in json.loads(installed.run("ps", "--json").stdout)
    assert "USER=" not in installed.run("ps").stdout


def test_ps_json_names_what_is_missing(installed, process_with_key):
    """The JSON list says of a field that it is unsupported rather than 0."""
    gpu = FakeGpu.numbered(0, FakeProcess(process_with_key.pid, None))
    installed.play(Scenario(gpus=[gpu]))
    facts = json.loads(installed.run("ps", "--json").stdout)
    (process,) = facts["processes"]
    assert (process["pid"], process["memory_bytes"]) == (process_with_key.pid, None)
    assert process["missing"]["memory_bytes"] == "unsupported"
    assert facts["schema"] == 1


@pytest.mark.parametrize(
    ("scenario", "line"),
    [
        (Scenario(init_error=DRIVER_NOT_LOADED), "driver"),
        (Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1, errors={"compute": 999})]), "GPU 1"),
        (Scenario(gpus=[FakeGpu.numbered(0), FakeGpu.numbered(1, lost=True)]), "GPU 1"),
    ],
)
def test_ps_never_shows_a_failure_as_an_empty_list(installed, scenario, line):
    """A driver or a GPU that cannot be read is one clear line on standard error and exit code 1."""
    installed.play(scenario)
    done = installed.run("ps")
    assert done.returncode == 1
    assert [part for part in done.stderr.splitlines() if line in part]
    assert "Traceback" not in done.stderr


def test_ps_without_a_driver_says_so(installed, tmp_path):
    """Where there is no driver library at all, the line says what to install."""
    installed.environment = without_driver(tmp_path / "none", installed.environment)
    done = installed.run("ps")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1


def test_ps_of_a_program(installed, tmp_path):
    """MYGPU selects the command source by itself, and its list is printed again to the letter."""
    text = "GPU=0  MEM=2828MiB  PID=2943615  ETIME=03:34\n  CWD: /home/ada\n  CMD: python a.py\n\n"
    program = tmp_path / "my gpu.sh"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
    program.chmod(0o755)
    assert installed.run("ps", MYGPU=str(program)).stdout == text
    assert installed.run("ps", MYGPU=f"sh '{program}'").stdout == text


def test_auto_takes_mygpu_before_simulated_gpus(installed, tmp_path):
    """`make run` with MYGPU set shows what MYGPU prints."""
    installed.environment = without_driver(tmp_path / "none", installed.environment)
    done = installed.run("ps", "--source", "auto", MYGPU="printf 'GPU=0  MEM=1MiB  PID=5  ETIME=00:01\\n'")
    assert done.stdout.startswith("GPU=0  MEM=1MiB  PID=5  ETIME=00:01\n")
    assert installed.run("ps", "--source", "auto").stdout.startswith("SIMULATED")


def test_ps_demo_is_labelled(installed):
    """A simulated list says so first, in JSON as a fact."""
    assert installed.run("ps", "--demo").stdout.startswith("SIMULATED")
    assert json.loads(installed.run("ps", "--demo", "--json").stdout)["simulated"] is True


def test_ps_into_a_closed_pipe_is_no_error(installed):
    """`ps | head` ends without a complaint."""
    command = f"{installed.script} ps --demo --all --watch 0.1 | head -n 1"
    done = subprocess.run(
        ["sh", "-c", command],
        env=installed.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout.startswith("SIMULATED"), done.stderr) == (True, "")


@pytest.mark.parametrize("words", [["ps", "--watch", "0"], ["ps", "--watch", "x"], ["nonsense"], ["mail"]])
def test_wrong_use_is_exit_code_2(installed, words):
    """What the command line does not know ends with 2 and a usage line."""
    done = installed.run(*words)
    assert (done.returncode, "usage:" in done.stderr) == (2, True)
