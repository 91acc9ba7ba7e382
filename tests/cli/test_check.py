"""`check` through the installed console script: silent, mailing, trying out, and every failure."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.driver.scenario import DRIVER_NOT_LOADED, FakeGpu, FakeProcess, Scenario
from tests.support.faketime import shifted
from tests.support.installed import MIB, busy, closed_port
from tests.support.mailserver import MailServer
from tests.support.timing import wait_until

pytestmark = pytest.mark.driver


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
    installed.age_deliveries(3660)
    for _ in range(2):
        assert installed.run("check").returncode == 0
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


def test_dry_run_with_nothing_triggered_says_so_on_standard_error(installed, server):
    """As the Bash tool, --dry-run prints nothing when there is no reason; a person is told all the same."""
    done = installed.run("check", "--dry-run")
    assert (done.returncode, done.stdout, server.messages) == (0, "", ())
    assert done.stderr == "nothing fires: no mail would be sent\n"


def test_dry_run_needs_no_address(installed, two):
    """Without an address it shows the mail all the same, and notes that the real run ends with an error."""
    installed.configure(TO_EMAIL="")
    installed.play(busy(*two))
    done = installed.run("check", "--dry-run")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "=== DRY RUN (not sending) ===")
    assert "- GPU_COUNT(2) > GPU_LIMIT(1)\n" in done.stdout
    place = f"{installed.folder / 'gpu-watch.env'}:1: TO_EMAIL is empty"
    assert done.stderr == f"note: `check` itself would end with an error: {place}\n"


def test_dry_run_of_a_demo_asks_the_one_that_runs(installed):
    """What fires in the running demo is shown, labelled, without a note about an address."""
    installed.configure(TO_EMAIL="", GPU_LIMIT=1, POLL_SEC=0.2)
    with installed.watching("--demo"):

        def alerts():
            return json.loads(installed.run("status", "--demo", "--json").stdout)["alerts"]

        wait_until(alerts, "an alert of the demo")
        done = installed.run("check", "--demo", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    label, frame, *mail = done.stdout.splitlines()
    assert (label[:9], frame) == ("SIMULATED", "=== DRY RUN (not sending) ===")
    assert any(line.startswith("- GPU_COUNT(2) > GPU_LIMIT(1)") for line in mail)


# Settings; the exit codes of `setup config --check`, `mail test` and `check --test-mail`; what each says.
JUDGED = {
    "example address": (
        {"TO_EMAIL": "you@example.com"},
        "",
        (0, 2, 2),
        "TO_EMAIL is still the example address",
    ),
    "no address": ({"TO_EMAIL": ""}, "", (0, 2, 2), "TO_EMAIL is empty"),
    "a mistake and no address": ({"TO_EMAIL": "", "POLL_SEC": "soon"}, "", (2, 2, 2), "TO_EMAIL is empty"),
    "a mistake": ({"POLL_SEC": "soon"}, "", (2, 2, 2), "POLL_SEC: expected seconds"),
    "no address that is one": ({"TO_EMAIL": "ada@@lab"}, "", (2, 2, 2), "TO_EMAIL: "),
    "no way out": ({}, "", (1, 1, 1), "neither SMTP nor Gmail is set up"),
    "no password": ({}, "SMTP_HOST=127.0.0.1\nSMTP_USER=ada\n", (1, 1, 1), "SMTP_PASS"),
}


@pytest.mark.parametrize(("keys", "smtp", "codes", "text"), JUDGED.values(), ids=JUDGED)
def test_the_settings_are_judged_alike_by_all(installed, tmp_path, keys, smtp, codes, text):
    """`setup config --check`, `mail test`, `check --test-mail` and `check --dry-run` find the same."""
    installed.configure(**keys)
    installed.write("smtp.env", smtp)
    empty = {"PATH": str(tmp_path)}  # no mailer of this computer's
    commands = (("setup", "config", "--check"), ("mail", "test"), ("check", "--test-mail"))
    for words, code in zip(commands, codes, strict=True):
        done = installed.run(*words, **empty)
        assert (done.returncode, text in done.stdout + done.stderr) == (code, True), (words, done)
    assert text in installed.run("check", "--dry-run", **empty).stderr


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


def test_a_test_mail_that_some_did_not_get_says_who(installed, server):
    """The address with the typing error is the one to be found by trying: named, and exit code 1."""
    installed.configure(TO_EMAIL='"ada@example.org, typo@example.org"')
    server.behave(refuse={"typo@example.org": "550 5.1.1 no such user"})
    done = installed.run("check", "--test-mail")
    assert done.returncode == 1
    assert done.stdout.startswith("mail sent to ada@example.org by SMTP")
    assert "typo@example.org: 550 5.1.1 no such user" in done.stderr
    assert [mail.recipients for mail in server.messages] == [("ada@example.org",)]


def test_a_readable_password_is_warned_of_where_a_person_tries_it_out(installed, server):
    """--test-mail names the file that others can read and the mend; cron's run stays silent."""
    (installed.folder / "smtp.env").chmod(0o644)
    assert "chmod 600" in installed.run("check", "--test-mail").stderr
    assert installed.run("check").stderr == ""


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


@pytest.mark.parametrize("flag", [[], ["--test-mail"]])
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


@pytest.mark.parametrize("scenario", [Scenario(init_error=DRIVER_NOT_LOADED), Scenario(gpus=[])])
def test_an_unreadable_driver_is_exit_code_1_and_no_mail(installed, server, scenario):
    """A driver that cannot be read is one clear line, never silence and never an empty list."""
    installed.play(scenario)
    done = installed.run("check")
    assert (done.returncode, len(done.stderr.splitlines()), server.messages) == (1, 1, ())
    assert "Traceback" not in done.stderr


def test_a_replaced_driver_is_exit_code_1_and_one_mail(installed, server):
    """That a reboot is needed is an alert of its own, which one look can tell: mailed once a cooldown."""
    installed.play(Scenario(init_error=18))  # library and driver differ
    for _ in range(2):
        done = installed.run("check")
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    (mail,) = server.messages
    assert b"DRIVER_MISMATCH: the NVIDIA driver was replaced" in mail.raw


# The program with less patience: the usual 20 s would be the length of the test.
IMPATIENT = """
import sys
from gpuwatch_tray.app import context
context.DRIVER_TIMEOUT = 1.5
from gpuwatch_tray.__main__ import main
sys.exit(main())
"""


def test_a_hanging_driver_is_given_up(installed, server):
    """A call that never returns ends in one line and exit code 1, not in a process for ever."""
    installed.play(Scenario(gpus=[FakeGpu.numbered(0)], hang={"count": 300}))
    done = subprocess.run(
        [sys.executable, "-c", IMPATIENT, "check"],
        env=installed.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "no answer within 1.5 s" in done.stderr, server.messages) == (1, True, ())


def test_with_one_gpu_lost_the_others_alerts_go_out_and_the_loss_is_named(installed, server, two):
    """A lost GPU neither hides another's alert nor goes unsaid."""
    held = [FakeGpu.numbered(n, FakeProcess(pid, MIB)) for n, pid in enumerate(two)]
    installed.play(Scenario(gpus=[*held, FakeGpu.numbered(2, lost=True)]))
    done = installed.run("check")
    assert (done.returncode, "GPU 2" in done.stderr) == (1, True)
    (mail,) = server.messages
    assert "- GPU_COUNT(2) > GPU_LIMIT(1)" in mail.text
    assert "Not readable:\n- GPU 2" in mail.text


@contextmanager
def watcher(installed, *words, blind=False, **variables):
    """A running `watch`, past its first poll; `blind`: it cannot read the driver."""
    passed_over = {"note"} if blind else {"note", "no data"}
    with subprocess.Popen(
        [installed.script, "watch", *words],
        env=installed.environment | variables,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            # a machine that is busy says "no data" until the driver has answered
            while not (line := running.stdout.readline())[:1].isdigit() or passed_over & set(
                line.split("  ")
            ):
                assert line
            yield running, line
        finally:
            running.send_signal(signal.SIGTERM)
            assert running.wait(60) == 0


def test_beside_a_watcher_check_only_delivers(installed, server, two):
    """While another process watches, check sends what is due and says who watches."""
    installed.play(busy(*two))
    with watcher(installed) as (running, line):
        assert "2 GPUs in use; the limit is 1" in line
        done = installed.run("check")
        assert f"watch, PID {running.pid} is watching on" in done.stdout
        assert (done.returncode, done.stderr) == (0, "")
        wait_until(lambda: server.messages, "the watcher's mail")
    assert len(server.messages) == 1


def test_the_child_that_sends_empties_the_outbox_of_the_source_asked_for(installed, server, two):
    """--source nvml goes before MYGPU in the watcher, and so it does in the child that it starts."""
    installed.play(busy(*two))
    with watcher(installed, "--source", "nvml", MYGPU="true"):
        wait_until(lambda: server.messages, "the watcher's mail")


def test_a_watcher_that_cannot_read_the_driver_is_no_reason_for_silence(installed, server):
    """Beside a watcher without data, check ends with 1 and passes on the reason."""
    installed.play(Scenario(init_error=DRIVER_NOT_LOADED))
    with watcher(installed, blind=True) as (running, _):
        done = installed.run("check")
    assert done.returncode == 1
    assert f"PID {running.pid}" in done.stderr
    assert "driver" in done.stderr


def test_a_watcher_that_mails_nobody_is_named(installed, server):
    """Beside a watcher without a recipient, check says that nobody is told."""
    other = installed.write("other.env", "GPU_LIMIT=1\n")
    with watcher(installed, GPUWATCH_CONFIG=str(other)):
        done = installed.run("check")
    assert (done.returncode, "sends no mail" in done.stderr) == (1, True)


def test_a_stop_right_after_an_alert_does_not_keep_its_mail_back(installed, server, two):
    """The mail of an alert that fired as the watcher was stopped is sent all the same."""
    installed.play(busy(*two))
    with watcher(installed):
        pass
    wait_until(lambda: server.messages, "the mail")


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


def test_two_machines_share_no_cooldown(installed, server, two):
    """What MYGPU watches has a state of its own: this machine's mail does not silence the other's."""
    installed.play(busy(*two))
    assert installed.run("check").returncode == 0
    lines = "".join(
        f"GPU={n}  MEM=1MiB  PID={n}  ETIME=00:01\\n  CWD: /\\n  CMD: python\\n\\n" for n in (0, 1)
    )
    assert installed.run("check", MYGPU=f"printf '{lines}'").returncode == 0
    assert len(server.messages) == 2


def test_a_test_mail_without_data_does_not_claim_an_idle_machine(installed, server):
    """The mail says that the list could not be read, is sent, and check ends with 1."""
    installed.play(Scenario(init_error=DRIVER_NOT_LOADED))
    done = installed.run("check", "--test-mail")
    assert (done.returncode, "the mail was sent, but: " in done.stderr) == (1, True)
    (mail,) = server.messages
    assert mail.text.endswith("Raw output:\n<the process list could not be read>\n")


def test_dry_run_shows_ones_own_command_on_ones_own_terminal(installed, server, two):
    """What is printed here is as `ps` prints it; only what leaves the terminal is redacted."""
    installed.play(busy(*two))
    assert "hf_canary0123456789abcdefghijkl" in installed.run("check", "--dry-run").stdout


def test_a_rule_that_cannot_judge_is_not_silence(installed, server):
    """A process whose GPU and age are unknown makes check say so and end with 1."""
    done = installed.run("check", MYGPU="printf 'GPU=?  MEM=1MiB  PID=5  ETIME=NA\\n'")
    assert done.returncode == 1
    assert "the GPU of process 5 is not known" in done.stderr


def test_a_mail_that_still_waits_is_named_at_every_run(installed, two):
    """Until it is sent, an unsent mail keeps check from ending with 0."""
    installed.play(busy(*two))
    with MailServer() as server:
        installed.mail_through(server, closed_port())
        assert [installed.run("check").returncode for _ in range(2)] == [1, 1]
        installed.mail_through(server)
        assert installed.run("check", "--test-mail").returncode == 0  # the way is open again
        assert installed.run("check").returncode == 0
        assert len(server.messages) == 2


def test_a_state_folder_that_cannot_be_used_is_named(installed, server, short):
    """The line names the folder and the variable."""
    done = installed.run("check", GPUWATCH_CACHE="/dev/null/x", TMPDIR=str(short))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "/dev/null/x" in done.stderr
    assert "GPUWATCH_CACHE" in done.stderr


def test_the_demo_does_not_touch_the_real_outbox(installed, server):
    """A demo mails nowhere, so it is wrong use to ask it to deliver."""
    done = installed.run("mail", "deliver", "--demo")
    assert (done.returncode, "sends no mail" in done.stderr) == (2, True)


def test_what_lies_in_the_current_folder_is_not_run(installed, server, two):
    """A file called like a module in the folder of the start does not get into the sending child."""
    (installed.folder / "email.py").write_text("raise SystemExit('mine was imported')")
    installed.play(busy(*two))
    with watcher(installed):
        wait_until(lambda: server.messages, "the mail")


def test_ending_check_ends_the_program_it_runs(installed):
    """SIGTERM to check leaves no child of MYGPU behind."""
    marker = installed.folder / "pid"
    variables = {"MYGPU": f"sh -c 'echo $$ > {marker}; exec sleep 60'"}
    with subprocess.Popen([installed.script, "check"], env=installed.environment | variables) as running:
        wait_until(lambda: marker.exists() and marker.read_text().strip(), "the program")
        running.terminate()
        assert running.wait(60) != 0
    pid = int(marker.read_text())
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the program's end")
