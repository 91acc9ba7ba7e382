"""`doctor`, as a user runs it, and that it keeps every secret."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuwatch_tray import doctor as room
from gpuwatch_tray.app import logs
from gpuwatch_tray.app.context import create_context
from gpuwatch_tray.cli import doctor
from gpuwatch_tray.doctor import CheckState
from gpuwatch_tray.doctor.output import results_json, results_text
from gpuwatch_tray.ipc.lock import LockHolder, StoreLock
from tests.driver.scenario import FakeGpu, Scenario, loaded
from tests.support.installed import Installed
from tests.support.timing import slowness

CANARY = "Xk93canaryQ7"


@pytest.mark.driver
def test_it_ends_with_1_where_there_is_a_problem(tmp_path):
    """A mistake in the settings is a problem, with its line; without one it ends with 0."""
    installed = Installed(tmp_path)
    installed.write("smtp.env", "SMTP_HOST=mail.example.org\nSMTP_USER=ada@example.org\nSMTP_PASS=x\n")
    well = installed.run("doctor")
    assert (well.returncode, well.stderr) == (0, "")
    assert well.stdout.endswith("0 problems, 0 warnings\n")
    installed.configure(GPU_LIMIT="two")
    ill = installed.run("doctor", "--json")
    assert ill.returncode == 1
    answer = json.loads(ill.stdout)
    assert answer["state"] == "problem"
    (line,) = (line for line in answer["lines"] if line["state"] == "problem")
    assert "gpu-watch.env:2: GPU_LIMIT" in line["text"]


def test_the_log_and_the_report(tmp_path):
    """--log shows the path and the last lines; --report writes all of it to a new file, mode 600."""
    installed = Installed(tmp_path)
    assert "No such file" in installed.run("doctor", "--log").stdout
    folder = installed.state / "log"
    folder.mkdir(parents=True)
    context = create_context(installed.environment, None)
    file = logs.log_path(context)
    file.write_text("".join(f"line {n}\n" for n in range(100)))
    path, *tail = installed.run("doctor", "--log").stdout.splitlines()
    assert (path, tail[0], tail[-1]) == (str(file), "line 60", "line 99")
    report = tmp_path / "report.txt"
    written = installed.run("doctor", "--report", str(report))
    assert (written.returncode, report.stat().st_mode & 0o777) == (0, 0o600)
    text = report.read_text()
    assert "\nline 99\n" in text
    assert "pynvml" in text
    again = installed.run("doctor", "--report", str(report))
    assert again.returncode == 1
    assert report.read_text() == text


def test_a_demo_has_nothing_to_look_at(tmp_path):
    """It is wrong use."""
    refused = Installed(tmp_path).run("doctor", "--demo")
    assert refused.returncode == 2


@pytest.mark.driver
def test_a_driver_that_hangs_costs_its_own_line_only(tmp_path):
    """Within the patience every other line is there, and the hang is told with its mend."""
    with loaded(tmp_path / "scenario") as path:
        installed = Installed(tmp_path)
        installed.configure(TO_EMAIL="")  # the machine that tests may have no mail program
        context = create_context(installed.environment, None)
        Scenario(gpus=[FakeGpu.numbered(0)], hang={"count": 60}).write(path)
        began = time.monotonic()
        lines = room.examine(doctor.list_checks(context, installed.environment, timeout=1.5))
        assert time.monotonic() - began < 5 * slowness()
        Scenario(gpus=[FakeGpu.numbered(0)]).write(path)  # the hang ends
    (hang,) = (line for line in lines if line.state is CheckState.PROBLEM)
    assert (hang.topic, hang.text) == ("driver", "it does not answer within 1.5 s")
    assert "nvidia-smi" in hang.mend
    assert len({line.topic for line in lines}) >= 10


def planted(folder, secret):
    """An installation that holds a secret wherever one may be; its context."""
    installed = Installed(folder)
    quoted = json.dumps(secret)[1:-1]
    installed.write("smtp.env", f"SMTP_HOST=mail.example.org\nSMTP_USER=ada\nSMTP_PASS='{secret}'\n").chmod(
        0o644
    )
    token = folder / "token.json"
    token.write_text(f'{{"refresh_token": "{quoted}", "client_secret": "{quoted}", "token": "{quoted}"}}')
    token.chmod(0o644)
    installed.write("notify.env", f"GMAIL_API_TOKEN={token}\nGMAIL_API_CREDENTIALS={token}\n")
    installed.configure(
        TO_EMAIL="ada@example.org",
        GPU_LIMIT=f"'--password={secret}'",
        PROCESS_SCOPE=f"'smtp://ada:{secret}@mail.example.org'",
    )
    context = create_context(installed.environment, None)
    logs.log_path(context).parent.mkdir(parents=True, exist_ok=True)
    logs.log_path(context).write_text(f"ERROR gpuwatch_tray: python train.py --token {secret}\n")
    lock = StoreLock(context.settings.state, context.state_name)
    lock.describe(LockHolder(1, "tray", trouble=f"--password {secret}", address=str(folder / "nobody")))
    return installed, context


# Letters as passwords have them: what ends a quoted word of Bash is a mistake of its own.
LETTERS = st.text(st.sampled_from("abcXYZ0189+/=_-.!%#"), max_size=12)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LETTERS)
def test_no_word_of_it_tells_a_secret(tmp_path_factory, tail):
    """Text, JSON, log and report hold no secret of the settings, of Google's files, or of the log."""
    folder = tmp_path_factory.mktemp("canary")
    installed, context = planted(folder, CANARY + tail)
    kept = [check for check in doctor.list_checks(context, installed.environment) if check.topic != "driver"]
    lines = room.examine(kept)
    said = [
        *results_text(lines),
        json.dumps(results_json(lines, host="box", version="1", at=0.0)),
        *doctor.log_tail(context),
        repr(context.problems),
    ]
    assert [text for text in said if CANARY in text] == []
    assert any("others can read" in text and "token.json" in text for text in said)
    assert sum("GPU_LIMIT" in text or "PROCESS_SCOPE" in text for text in said) >= 2


def test_the_canary_sings(tmp_path):
    """The test above can fail: what is no secret is told by each of the places where one is hidden."""
    _installed, context = planted(tmp_path, "x")
    logs.log_path(context).write_text(f"INFO gpuwatch_tray: python train.py --run {CANARY}\n")
    assert any(CANARY in line for line in doctor.log_tail(context))


def test_the_report_tells_no_secret_either(tmp_path, monkeypatch, capsys):
    """The file that is sent with a bug report is as silent as the screen."""
    installed, context = planted(tmp_path, CANARY)
    for name in ("GPUWATCH_CONFIG", "GPUWATCH_NOTIFY_CONFIG", "GPUWATCH_SMTP_CONFIG", "GPUWATCH_LAB_CONFIG"):
        monkeypatch.setenv(name, installed.environment[name])
    doctor.write_report(context, tmp_path / "report.txt")
    assert CANARY not in (tmp_path / "report.txt").read_text() + capsys.readouterr().out
