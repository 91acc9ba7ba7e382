"""lab.env: what is read from it, and what does not fit together."""

from __future__ import annotations

import pytest

from gpuwatch_tray.model.schema import SETTINGS
from gpuwatch_tray.settings import LabAlerts, LabLogin, LabSettings
from gpuwatch_tray.settings.validators import parse
from tests.settings.checkout import LAB


def test_without_the_file_there_is_no_lab(house):
    """No key set: nothing is asked."""
    lab = house.settings().lab
    assert lab == LabSettings()
    assert not lab.configured


def test_a_few_machines_by_ssh(house):
    """Names with blanks or commas between them, ssh with its options, and the command of a list."""
    house.write(
        LAB,
        'LAB_HOSTS="gpu1, ada@gpu2 gpu1"\nLAB_SSH="ssh -F \'/home/a b/config\'"\n'
        "LAB_LIST=mygpu.sh\nLAB_PIN=gpu2\nLAB_ALERTS=all\nLAB_GPU_LIMIT=6\nLAB_POLL_SEC=30\n",
    )
    lab = house.settings().lab
    assert lab.configured
    assert lab.hosts == ("gpu1", "ada@gpu2")
    assert lab.ssh == ("ssh", "-F", "/home/a b/config")
    assert (lab.ssh_list, lab.pins, lab.alerts) == ("mygpu.sh", ("gpu2",), LabAlerts.ALL)
    assert (lab.gpu_limit, lab.poll) == (6, 30.0)


def test_a_prometheus_with_a_login(house, tmp_path):
    """Replicas, a login by name and password, and the Alertmanager in which one may silence."""
    house.write(
        LAB,
        "LAB_PROMETHEUS='https://a.example.org/prom/ https://b.example.org'\n"
        "LAB_ALERTMANAGER=https://am.example.org\nLAB_SILENCE=on\n"
        f"LAB_AUTH=basic\nLAB_USER=ada\nLAB_PASS_FILE={tmp_path}/secret\n",
    )
    lab = house.settings().lab
    assert lab.prometheus == ("https://a.example.org/prom", "https://b.example.org")
    assert (lab.alertmanager, lab.silence) == (("https://am.example.org",), True)
    assert (lab.login, lab.user, lab.password_file) == (LabLogin.BASIC, "ada", tmp_path / "secret")


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        ("LAB_HOSTS=-oProxyCommand=x", 1, "LAB_HOSTS", "names of machines"),
        ("LAB_SSH=\"''\"", 1, "LAB_SSH", "program and its options"),
        ("LAB_HOSTS=ada@-e.sh", 1, "LAB_HOSTS", "names of machines"),
        ("LAB_HOSTS='" + " ".join(f"h{n}" for n in range(21)) + "'", 1, "LAB_HOSTS", "20 at most"),
        ("LAB_HOSTS=a\nLAB_PROMETHEUS=http://localhost", 1, "LAB_HOSTS", "keep one of the two"),
        ("LAB_HOSTS='a b'\nLAB_PIN='b c'", 2, "LAB_PIN", "c is not in LAB_HOSTS"),
        ("LAB_ALERTMANAGER=http://localhost", 1, "LAB_ALERTMANAGER", "needs LAB_PROMETHEUS"),
        ("LAB_PROMETHEUS=http://localhost\nLAB_SILENCE=on", 2, "LAB_SILENCE", "needs LAB_ALERTMANAGER"),
        ("LAB_CLIENT_KEY=/k", 1, "LAB_CLIENT_KEY", "needs LAB_CLIENT_CERT"),
        ("LAB_AUTH=basic\nLAB_PASS_FILE=/p", 1, "LAB_AUTH", "needs LAB_USER"),
        ("LAB_PROMETHEUS=prometheus:9090", 1, "LAB_PROMETHEUS", "expected an address"),
        ("LAB_PROMETHEUS=https://host/?q=1", 1, "LAB_PROMETHEUS", "without ? and #"),
        ("LAB_SSH='ssh \"x'", 1, "LAB_SSH", "never closed"),
        ("LAB_JOB='a b'", 1, "LAB_JOB", "expected a name"),
        ("LAB_POLL_SEC=1", 1, "LAB_POLL_SEC", "from 5 to"),
    ],
)
def test_what_does_not_fit_is_a_problem(house, text, line, key, said):
    """One line with file, line, key and the fix."""
    house.write(LAB, text + "\n")
    _settings, problems = house.problems()
    (problem,) = [problem for problem in problems if said in problem.text]
    assert (problem.path, problem.line, problem.key) == ("config/lab.env", line, key)


def test_a_password_in_the_clear_is_warned_of(house):
    """A login over http shows the password to the network; on this very computer nobody sees it."""
    text = "LAB_AUTH=bearer\nLAB_PASS_FILE=/p\nLAB_PROMETHEUS=http://{}:9090\n"
    house.write(LAB, text.format("prometheus.example.org"))
    (warning,) = house.settings().warnings
    assert "not encrypted" in warning
    house.write(LAB, text.format("127.0.0.1"))
    assert house.settings().warnings == ()


def test_a_password_file_for_all_to_read_is_warned_of(house, tmp_path):
    """As with the mail password: the line says how to close it."""
    secret = tmp_path / "token"
    secret.write_text("t")
    secret.chmod(0o644)
    house.write(LAB, f"LAB_AUTH=bearer\nLAB_PASS_FILE={secret}\n")
    (warning,) = house.settings().warnings
    assert f"chmod 600 {secret}" in warning


@pytest.mark.parametrize("name", ["gpu1", "ada@gpu1", "10.0.0.1", "::1", "fe80::1", "gpu_1.example.org"])
def test_what_ssh_takes_is_a_machine(name):
    """Aliases, accounts and addresses."""
    assert parse(SETTINGS["LAB_HOSTS"], name) == (name,)
