"""`check` through the installed console script: silent, mailing, trying out, and every failure."""

from __future__ import annotations

import re
import signal
import subprocess
import time

import pytest

from tests.driver.scenario import DRIVER_NOT_LOADED, FakeGpu, FakeProcess, Scenario
from tests.faketime import shifted
from tests.installed import MIB, Installed, busy, closed_port
from tests.mailserver import MailServer
from tests.workers import workers

pytestmark = pytest.mark.driver


@pytest.fixture
def installed(tmp_path):
    return Installed(tmp_path)


@pytest.fixture
def two(tmp_path):
    secret = ["train.py", "--token", "hf_canary0123456789abcdefghijkl"]
    with workers(tmp_path, secret, ["eval.py"]) as children:
        yield [child.pid for child in children]


@pytest.fixture
def server(installed):
    with MailServer() as running:
        installed.mail_through(running)
        yield running


def test_nothing_to_report_is_silence(installed, server):
    """Within the limits check prints nothing, sends nothing and ends with 0."""
    done = installed.run("check")
    assert (done.returncode, done.stdout, done.stderr, server.messages) == (0, "", "", ())


def test_check_mails_before_it_ends_and_once_a_cooldown(installed, server, two):
    """The mail is there when check has ended; the next run says nothing, although time has passed."""
    installed.play(busy(*two))
    first = installed.run("check")
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    (mail,) = server.messages
    message = mail.message
    assert re.fullmatch(r"\[GPU Watchdog\] ada@\S+  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", message["Subject"])
    assert message["To"] == "ada@example.org"
    assert "- GPU_COUNT(2) > GPU_LIMIT(1)\n" in mail.text
    assert f"PID={two[1]}  ETIME=" in mail.text
    assert "canary" not in mail.text
    time.sleep(1.1)  # so that each ETIME in the list differs, which the Bash tool's hash took for news
    assert installed.run("check").returncode == 0
    assert len(server.messages) == 1


def test_a_refused_mail_is_kept_and_sent_by_a_later_run(installed, two):
    """A server that is down is a clear error and exit code 1; the mail goes out when it is back."""
    installed.play(busy(*two))
    with MailServer() as server:
        port = closed_port()
        installed.mail_through(server, port)
        done = installed.run("check")
        assert done.returncode == 1
        assert f"{server.host}:{port}" in done.stderr
        assert server.password not in done.stderr
        installed.mail_through(server)
        # the retry is due a while later: the outbox's clock is moved, not the test's
        later = installed.run("check", **shifted("+10m"))
        assert (later.returncode, later.stderr, len(server.messages)) == (0, "", 1)


def test_after_the_cooldown_it_is_mailed_once_more(installed, server, two):
    """An hour later, still firing, check mails again, once."""
    installed.play(busy(*two))
    installed.run("check")
    for _ in range(2):
        assert installed.run("check", **shifted("+61m")).returncode == 0
    assert len(server.messages) == 2


def test_dry_run_prints_and_changes_nothing(installed, server, two):
    """--dry-run prints subject and body, sends nothing, and leaves the cooldown untouched."""
    installed.play(busy(*two))
    done = installed.run("check", "--dry-run")
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[0]) == (0, "=== DRY RUN (not sending) ===")
    assert lines[1].startswith("[GPU Watchdog] ada@")
    assert "- GPU_COUNT(2) > GPU_LIMIT(1)" in lines
    assert (server.messages, installed.state.exists()) == ((), False)
    installed.run("check")
    assert installed.run("check", "--dry-run").stdout.startswith("=== DRY RUN")  # the cooldown is no matter
    assert len(server.messages) == 1


def test_dry_run_with_nothing_triggered_is_silent(installed, server):
    """As the Bash tool, --dry-run prints nothing when there is no reason."""
    done = installed.run("check", "--dry-run")
    assert (done.returncode, done.stdout, done.stderr, server.messages) == (0, "", "", ())


def test_test_mail_is_sent_past_everything(installed, server, two):
    """--test-mail sends with nothing triggered and inside the cooldown, and starts no cooldown."""
    for _ in range(2):
        done = installed.run("check", "--test-mail")
        assert (done.returncode, done.stderr) == (0, "")
        assert "ada@example.org" in done.stdout
    line = "- TEST_MAIL: force send (no threshold triggered)\n"
    assert [line in mail.text for mail in server.messages] == [True, True]
    installed.play(busy(*two))
    installed.run("check")
    assert len(server.messages) == 3


def test_a_test_mail_that_fails_says_why(installed):
    """A wrong password is one clear line with the server's answer, without the password."""
    with MailServer() as server:
        installed.mail_through(server)
        text = (installed.folder / "smtp.env").read_text().replace(server.password, "wrong-canary")
        installed.write("smtp.env", text)
        done = installed.run("check", "--test-mail")
    assert (done.returncode, server.messages) == (1, ())
    assert "535" in done.stderr
    assert "canary" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", [[], ["--dry-run"], ["--test-mail"]])
def test_without_a_recipient_check_ends_with_2(installed, flag):
    """TO_EMAIL empty is a wrong configuration, as in the Bash tool."""
    installed.configure(TO_EMAIL="")
    done = installed.run("check", *flag)
    assert (done.returncode, "TO_EMAIL" in done.stderr, done.stdout) == (2, True, "")


def test_a_bad_configuration_is_told_whole(installed):
    """Every problem of the files is named with file, line and key, and check ends with 2."""
    path = installed.write("gpu-watch.env", "TO_EMAIL=ada@example.org\nGPU_LIMIT=two\nMAX_ETIME_MINS=5\n")
    installed.write("notify.env", "NOTIFY_METHOD=pigeon\n")
    done = installed.run("check")
    assert done.returncode == 2
    assert f"{path}:2: GPU_LIMIT:" in done.stderr
    assert f"{path}:3: MAX_ETIME_MINS:" in done.stderr
    assert "notify.env:1: NOTIFY_METHOD:" in done.stderr


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(init_error=DRIVER_NOT_LOADED),
        Scenario(init_error=18),  # library and driver differ
        Scenario(gpus=[]),
    ],
)
def test_an_unreadable_driver_is_exit_code_1_and_no_mail(installed, server, scenario):
    """A driver that cannot be read is one clear line, never silence and never an empty list."""
    installed.play(scenario)
    done = installed.run("check")
    assert (done.returncode, len(done.stderr.splitlines()), server.messages) == (1, 1, ())
    assert "Traceback" not in done.stderr


def test_a_hanging_driver_is_given_up_after_20_seconds(installed, server):
    """A call that never returns ends in one line and exit code 1, not in a process for ever."""
    installed.play(Scenario(gpus=[FakeGpu.numbered(0)], hang={"count": 300}))
    before = time.monotonic()
    done = installed.run("check")
    assert (done.returncode, "20 s" in done.stderr, server.messages) == (1, True, ())
    assert 19 < time.monotonic() - before < 30


def test_with_one_gpu_lost_the_others_alerts_go_out_and_the_loss_is_named(installed, server, two):
    """A lost GPU neither hides another's alert nor goes unsaid."""
    held = [FakeGpu.numbered(n, FakeProcess(pid, MIB)) for n, pid in enumerate(two)]
    installed.play(Scenario(gpus=[*held, FakeGpu.numbered(2, lost=True)]))
    done = installed.run("check")
    assert (done.returncode, "GPU 2" in done.stderr) == (1, True)
    (mail,) = server.messages
    assert "- GPU_COUNT(2) > GPU_LIMIT(1)" in mail.text
    assert "Not readable:\n- GPU 2" in mail.text


def test_beside_a_watcher_check_only_delivers(installed, server, two):
    """While another process watches, check sends what is due and says who watches."""
    installed.play(busy(*two))
    with subprocess.Popen(
        [installed.script, "watch"], env=installed.environment, stdout=subprocess.PIPE, text=True
    ) as watcher:
        try:
            line = watcher.stdout.readline()
            assert "GPU_COUNT(2) > GPU_LIMIT(1)" in line or "Reading" in line
            done = installed.run("check")
            assert f"watch, PID {watcher.pid} watches on" in done.stdout
            assert done.returncode == 0
            wait_for(lambda: server.messages, "the watcher's mail")
        finally:
            watcher.send_signal(signal.SIGTERM)
            assert watcher.wait(10) == 0
    assert len(server.messages) == 1


def wait_for(fact, what, seconds=20.0):
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def test_another_machine_is_watched_through_a_command(installed, server, tmp_path):
    """A program's list is judged like the driver's, and cron's next run knows its processes again."""
    program = tmp_path / "remote"
    program.write_text(
        "#!/bin/sh\nnow=$(date +%s)\n"
        f"sec=$((now - {int(time.time()) - 30000}))\n"
        'printf "GPU=0  MEM=1MiB  PID=77  ETIME=%02d:%02d:%02d\\n  CWD: /r\\n  CMD: python r.py\\n\\n"'
        " $((sec/3600)) $((sec%3600/60)) $((sec%60))\n"
    )
    program.chmod(0o755)
    for _ in range(2):
        done = installed.run("check", MYGPU=str(program))
        assert (done.returncode, done.stderr) == (0, "")
        time.sleep(1.1)
    (mail,) = server.messages
    assert "MAX_ETIME(300" in mail.text
    assert "PID=77" in mail.text


def test_a_failing_command_is_not_an_empty_list(installed, server):
    """A program that fails makes check fail: exit code 1 and its last line."""
    done = installed.run("check", MYGPU="sh -c 'echo no such host >&2; exit 255'")
    assert (done.returncode, "no such host" in done.stderr, server.messages) == (1, True, ())


def test_a_user_without_a_name_in_the_environment_is_asked_of_the_system(installed, server):
    """Cron may leave USER unset: the mail's subject then has the account's name."""
    del installed.environment["USER"]
    assert installed.run("check", "--test-mail").returncode == 0
    name = subprocess.check_output(["id", "-un"], text=True).strip()
    assert server.messages[0].message["Subject"].startswith(f"[GPU Watchdog] {name}@")


def test_the_demo_mails_nowhere(installed, server):
    """A demo check is labelled, and neither mails nor writes the user's state."""
    done = installed.run("check", "--demo")
    assert (done.returncode, done.stdout.startswith("SIMULATED")) == (0, True)
    assert installed.run("check", "--demo", "--test-mail").returncode == 2
    assert (server.messages, installed.state.exists()) == ((), False)
