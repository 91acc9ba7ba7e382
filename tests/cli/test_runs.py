"""`when run` and `runs` with the installed program: the log, the cause, the mail, and what a kill leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time

import pytest

from tests.driver.scenario import FakeEvent, FakeGpu, FakeProcess, Scenario
from tests.support.installed import MIB
from tests.support.terminal import terminal
from tests.support.timing import wait_until

pytestmark = [pytest.mark.driver, pytest.mark.configured(POLL_SEC=1, GPU_LIMIT=4)]

SECRET = "hf_canary0123456789abcdefghijkl"
OUT_OF_MEMORY = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of"
    " 23.65 GiB of which 512.00 MiB is free."
)


def run(installed, *words, **more):
    return installed.run("when", "run", *words, **more)


def is_failure(mail):
    return "Command failed" in mail.message["Subject"]


def runs(installed):
    return json.loads(installed.run("runs", "--json").stdout)


def python(code):
    return ["--", sys.executable, "-c", code]


def test_the_log_is_there_while_it_runs_and_the_output_is_unchanged(installed):
    """Bytes, streams and exit code are the command's; the log has both streams, for its owner alone."""
    code = (
        "import os; os.write(1, b'a\\x00\\xff\\n'); os.write(2, b'b\\r\\n'); os.write(1, b'c'); os._exit(7)"
    )
    done = subprocess.run(
        [installed.script, "when", "run", "--name", "base", *python(code)],
        env=installed.environment,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (7, b"a\x00\xff\nc")
    assert b"b\r\n" in done.stderr
    (record,) = runs(installed)
    assert (record["number"], record["name"], record["code"]) == (1, "base", 7)
    kept = subprocess.run(
        [installed.script, "runs", "log", "1"], env=installed.environment, capture_output=True, check=True
    )
    assert sorted(kept.stdout) == sorted(b"a\x00\xff\nb\r\nc")
    folder = installed.state / "runs" / "000001"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())} == {0o700, 0o600}


def test_a_terminal_is_still_one(installed):
    """The command sees a terminal, with its width and colours; the log has what was written."""
    code = (
        "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size().columns, '\\033[1mbold\\033[0m')"
    )
    words = [installed.script, "when", "run", *python(code)]
    with terminal(words, installed.environment, columns=93) as shown:
        assert shown.process.wait(60) == 0
        assert "True 93 bold" in shown.everything()[0]
    assert "True 93 \x1b[1mbold" in installed.run("runs", "log", "1").stdout


def test_a_missing_module_is_told_in_a_sentence(installed, server):
    """The mail begins with the cause, says what to do, and has the log with it, without its secrets."""
    done = run(installed, "--name", "base", *python(f"print('token={SECRET}')\nimport torchx"))
    assert done.returncode == 1
    (mail,) = server.wait_for(1)
    assert mail.message["Subject"].startswith("[GPU Watchdog] Command failed: ")
    told = mail.text.partition("Told as you asked:\n")[2].splitlines()
    assert told[0] == "- base: the module torchx is missing"
    assert any(line.startswith("- exit code 1 after ") for line in told)
    (log,) = [part for part in mail.message.walk() if part.get_filename() == "run-1.log"]
    assert "ModuleNotFoundError: No module named 'torchx'" in log.get_content()
    assert SECRET not in mail.raw.decode() + log.get_content()
    assert SECRET in installed.run("runs", "log", "1").stdout  # one's own log, on one's own disk


def test_the_last_line_of_an_unknown_end_is_told_once(installed, server):
    """It is among the last lines, and not above them too."""
    assert run(installed, *python("print('last words'); raise SystemExit(3)")).returncode == 3
    (mail,) = server.wait_for(1)
    assert "it ended with exit code 3; the cause is not known" in mail.text
    assert mail.text.count("last words\n") == 1


def test_who_held_the_memory_is_named(installed, server):
    """The tray saw the neighbour; the sentence joins it with what the log asked for."""
    neighbour = FakeProcess(os.getpid(), 18 * 1024 * MIB)
    gpu = FakeGpu.numbered(0, neighbour, memory_used=int(23.1 * 1024) * MIB, memory_total=24 * 1024 * MIB)
    with installed.watching():
        installed.play(Scenario(gpus=[gpu]))
        held = str(gpu.memory_used)
        wait_until(lambda: held in installed.run("status", "--json").stdout, "the neighbour to be seen")
        assert run(installed, *python(f"raise SystemExit({OUT_OF_MEMORY!r})")).returncode == 1
        mail = wait_until(lambda: next(filter(is_failure, server.messages), None), "the mail")
    (record,) = runs(installed)
    assert record["kind"] == "gpu_memory"
    assert "18.0 GiB" in record["sentence"]
    assert record["sentence"] in mail.text


def test_an_expected_end_is_short(installed, server):
    """No log, no last lines: what went well is a line."""
    assert run(installed, "--", "echo", "step 1").returncode == 0
    (mail,) = server.wait_for(1)
    assert mail.message["Subject"].startswith("[GPU Watchdog] Command finished: ")
    assert [part for part in mail.message.walk() if part.get_filename()] == []
    assert "step 1" not in mail.text.replace("echo step 1", "")


def test_named_files_go_with_the_mail(installed, server):
    """Patterns count from the command's folder; text is redacted, and what is too big is named."""
    folder = installed.folder
    (folder / "loss.csv").write_text(f"step,loss\n1,nan\n# api_key={SECRET}\n")
    (folder / "big.bin").write_bytes(b"\0" * (6 * MIB))
    run(installed, "--attach", "*.csv", "--attach", "*.bin", "--", "false")
    (mail,) = server.wait_for(1)
    files = {part.get_filename(): part.get_content() for part in mail.message.walk() if part.get_filename()}
    assert sorted(files) == ["left-out.txt", "loss.csv", "run-1.log"]
    assert "1,nan" in files["loss.csv"]
    assert SECRET not in files["loss.csv"]
    assert "big.bin: left out, 6291456 bytes" in files["left-out.txt"]


def test_a_name_is_one_line_without_secrets(installed, server):
    """Whatever somebody calls a run is shown, stored and mailed as a command is."""
    run(installed, "--name", f"base\n--token={SECRET}", "--", "false")
    (mail,) = server.wait_for(1)
    (record,) = runs(installed)
    assert record["name"].startswith("base")
    assert "\n" not in record["name"]
    assert SECRET not in mail.raw.decode() + record["name"]


def test_the_whole_output_can_go_to_a_file(installed):
    """`--log FILE`, beside the log that is kept."""
    run(installed, "--log", "out.txt", "--", "printf", "abc")
    assert (installed.folder / "out.txt").read_text() == "abc"
    assert installed.run("runs", "log", "1").stdout == "abc"


def test_a_long_log_keeps_beginning_and_end(installed):
    """Ten megabytes leave five; what was left out is counted."""
    run(installed, *python("print('first')\nfor n in range(700_000): print('line', n)\nprint('last')"))
    kept = installed.run("runs", "log", "1").stdout
    assert kept.startswith("first\n")
    assert kept.endswith("last\n")
    left = int(re.search(r"\[(\d+) bytes were left out here\]", kept)[1])
    size = sum(len(f"line {n}\n") for n in range(700_000)) + len("first\nlast\n")
    assert len(kept) - len(f"\n[{left} bytes were left out here]\n") + left == size
    assert sum(file.stat().st_size for file in (installed.state / "runs" / "000001").iterdir()) < 6 * MIB


def test_the_run_outlives_a_kill_of_the_one_who_waits_for_it(installed, server):
    """After kill -9 of `when run` it goes on, its output passes and is kept, and the tray tells the end."""
    installed.configure(POLL_SEC=1)
    code = "import time; print('step 1', flush=True); input(); print('step 2', flush=True); time.sleep(600)"
    with installed.watching():
        started = subprocess.Popen(
            [installed.script, "when", "run", *python(code)],
            env=installed.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=installed.folder,
        )
        assert started.stdout.readline() == b"step 1\n"
        (record,) = wait_until(lambda: [one for one in runs(installed) if one["pid"]], "the record")
        started.kill()
        started.wait(60)
        started.stdin.write(b"\n")
        started.stdin.flush()
        assert started.stdout.readline() == b"step 2\n"
        os.kill(record["pid"], signal.SIGTERM)
        started.communicate(timeout=60)
        shown = wait_until(
            lambda: (said := installed.run("runs", "show", "1").stdout) and "why:" in said and said, "the end"
        )
    assert "exit code" not in shown
    assert installed.run("runs", "log", "1").stdout == "step 1\nstep 2\n"


def test_ctrl_c_is_a_person(installed):
    """The command gets it once, from the terminal, and the record says that a person stopped it."""
    code = "import time; print('ready', flush=True); time.sleep(600)"
    with terminal([installed.script, "when", "run", *python(code)], installed.environment) as shown:
        wait_until(lambda: "ready" in shown.lines(), "the command")
        shown.interrupt()
        assert shown.everything().count("KeyboardInterrupt") == 1
    (record,) = runs(installed)
    assert (record["kind"], record["code"]) == ("stopped", 130)


def test_a_state_that_cannot_be_written_does_not_keep_it_from_running(installed):
    """Its exit code and output are the command's; that no log is kept is one line."""
    (installed.state / "runs").parent.mkdir(parents=True, exist_ok=True)
    (installed.state / "runs").write_text("")
    done = run(installed, "--", "sh", "-c", "echo x; exit 3")
    assert (done.returncode, done.stdout) == (3, "x\n")
    assert "no log of this run is kept: " in done.stderr


def test_without_a_log_the_cause_is_told_all_the_same(installed, server):
    """No folder for it, and the command takes its own away: exit code, cause and FILE of --log are there."""
    installed.state.mkdir()
    (installed.state / "runs").write_text("")
    gone = installed.folder / "gone"
    gone.mkdir()
    done = subprocess.run(
        [
            installed.script,
            "when",
            "run",
            "--log",
            "../out.txt",
            *python("import os; os.rmdir(os.getcwd()); print('step', flush=True); import torchx"),
        ],
        env=installed.environment,
        capture_output=True,
        text=True,
        cwd=gone,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "step\n"), done.stderr
    assert "step\n" in (installed.folder / "out.txt").read_text()
    (mail,) = server.wait_for(1)
    assert "the module torchx is missing" in mail.text
    assert "runs log" not in mail.text


def test_a_log_file_that_cannot_be_opened_is_named(installed):
    """The log that is kept is kept; the message says which file is not written."""
    done = run(installed, "--log", "no/such/folder", "--", "echo", "x")
    assert (done.returncode, done.stdout) == (0, "x\n")
    assert "no/such/folder: not written: No such file or directory" in done.stderr
    assert installed.run("runs", "log", "1").stdout == "x\n"


def test_nothing_was_run_yet(installed):
    """The list says how to make one; a number that is none is wrong use."""
    assert "`gpuwatch-tray when run -- COMMAND`" in installed.run("runs").stdout
    assert json.loads(installed.run("runs", "--json").stdout) == []
    for task in ("show", "log"):
        assert installed.run("runs", task, "7").returncode == 2


def test_a_program_that_is_not_there_is_explained(installed):
    """Exit code 127 as in a shell, with the reason in the record."""
    assert run(installed, "--", "no-such-program").returncode == 127
    (record,) = runs(installed)
    assert record["kind"] == "missing_file"
    assert time.time() - record["ended"] < 600


def test_the_end_of_a_process_of_another_program_is_explained_by_its_gpu(installed, server):
    """`when ends PID`: the driver reported an error of its GPU, and the notice says which."""
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        gpu = FakeGpu.numbered(0, FakeProcess(worker.pid, 100 * MIB))
        installed.play(Scenario(gpus=[gpu]))
        with installed.watching():
            installed.run("when", "ends", str(worker.pid))
            installed.play(Scenario(gpus=[gpu], events=[FakeEvent(1, gpu.uuid, 13)]))
            wait_until(lambda: "Xid" in installed.run("alerts").stdout, "the error")
            worker.kill()
            worker.wait(60)
            mail = wait_until(lambda: next(filter(is_end, server.messages), None), "the mail")
        assert "Xid 13" in mail.text
    finally:
        worker.kill()
        worker.wait(60)


def is_end(mail):
    return "Process ended" in mail.message["Subject"]
