"""The real servers behind passwords and TLS, by their own web.config.file; and the steps of `lab test`."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from gpuwatch_tray.lab.lab_error import LabError
from gpuwatch_tray.lab.login import LabSecret, keyring_account, told_secret
from gpuwatch_tray.lab.prometheus import PrometheusLab
from gpuwatch_tray.lab.silences_made import SilencesMade
from gpuwatch_tray.settings import LabLogin, LabSettings, SecretError
from tests.support.file_keyring import NONE, FileKeyring
from tests.support.prometheus import Alertmanager, Prometheus

PASSWORD = "geheim-17 ü"
# bcrypt of it, with the least work that the servers take.
HASH = "$2b$04$abcdefghijklmnopqrstuujk/wzDhUSQuo9YVM/zmn.jCW8zdKIu."


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """Both servers, with TLS by an authority of their own and a password."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    web = (
        f"tls_server_config: {{cert_file: {folder}/server.pem, key_file: {folder}/server.pem}}\n"
        f"basic_auth_users: {{ada: '{HASH}'}}\n"
    )
    with Alertmanager(web=web) as manager, Prometheus(web=web) as prometheus:
        for server in (manager, prometheus):
            server.scheme = "https"
        yield prometheus, manager, folder


@pytest.fixture
def settings(guarded, tmp_path):
    prometheus, manager, folder = guarded
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return LabSettings(
        prometheus=(prometheus.url,),
        alertmanager=(manager.url,),
        login=LabLogin.BASIC,
        user="ada",
        password_file=file,
        ca_file=folder / "ca.pem",
    )


def read(settings, tmp_path):
    lab = PrometheusLab(settings, LabSecret(settings), SilencesMade(tmp_path / "made.json"))
    view = lab.read()
    lab.close()
    assert PASSWORD not in repr(view)
    return view


def test_with_the_password_and_the_authority_both_answer(settings, tmp_path):
    """A password with a blank and an umlaut goes through as it is; no target is then all that is missing."""
    view = read(settings, tmp_path)
    assert "no target of the job" in str(view.problem)
    assert view.feed.value == "fed"


def test_without_or_with_another_password_it_is_told(settings, tmp_path):
    """401 is a matter of LAB_AUTH, and nothing is known."""
    settings.password_file.write_text("wrong")
    place = f"LAB_PASS_FILE {settings.password_file}"
    for asked, words in (
        (
            settings,
            f"does not take our login (see LAB_AUTH and LAB_USER in lab.env, and the password in {place}",
        ),
        (replace(settings, login=LabLogin.NONE), "asks for a login (set LAB_AUTH in lab.env"),
    ):
        view = read(asked, tmp_path)
        assert words in str(view.problem)
        assert view.feed.value == "unreachable"


def test_without_the_authority_nobody_is_believed(settings, tmp_path):
    """The certificate of an unknown authority is not accepted, and the password is not sent."""
    view = read(replace(settings, ca_file=None), tmp_path)
    assert "certificate" in str(view.problem)
    assert "LAB_CA_FILE" in str(view.problem)


def test_a_new_password_in_the_file_is_taken_over(settings, tmp_path):
    """A token that is renewed needs no restart."""
    lab = PrometheusLab(settings, LabSecret(settings), SilencesMade(tmp_path / "made.json"))
    settings.password_file.write_text("old")
    assert "login" in str(lab.read().problem)
    settings.password_file.write_text(PASSWORD)
    assert "no target" in str(lab.read().problem)
    lab.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "is empty"), ("a\nb\n", "more than one line"), (b"\xff", "not UTF-8"), (None, "cannot be read")],
)
def test_a_file_that_is_no_password_is_named(settings, tmp_path, content, words):
    """The key, the file and the reason stand in the problem; nothing is asked without a login."""
    file = tmp_path / "odd"
    if content is not None:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    asked = replace(settings, password_file=file)
    with pytest.raises(LabError, match=words):
        LabSecret(asked).read()
    problem = str(read(asked, tmp_path).problem)
    assert ("LAB_PASS_FILE" in problem, str(file) in problem) == (True, True)


def test_one_that_never_answers_does_not_hold_the_poll(tmp_path, monkeypatch):
    """A server that takes the connection and says nothing costs the time of a poll, and no more polls."""
    monkeypatch.setattr("gpuwatch_tray.lab.prometheus.PROMETHEUS_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = LabSettings(prometheus=(address,))
        before = threading.active_count()
        for _ in range(3):
            assert "did not answer" in str(read(settings, tmp_path).problem)
        assert threading.active_count() <= before + 1


SERVICE = "gpuwatch-tray lab"
KEPT = LabSettings(prometheus=("https://prometheus.example.org:9090/x",), login=LabLogin.BASIC, user="ada")


@pytest.fixture
def ring(tmp_path, monkeypatch):
    """The keyring of the children of this test."""
    made = FileKeyring(tmp_path / "ring")
    for key, value in made.variables.items():
        monkeypatch.setenv(key, value)
    return made


def telling(*answers: str):
    """A command in the place of the one that asks the keyring: it prints these, one after the other."""
    left = list(answers)
    return lambda _account: [sys.executable, "-c", f"print({left.pop(0)!r})"]


def failure(secret, seconds=60.0) -> LabError:
    with pytest.raises(LabError) as caught:
        secret.read(seconds)
    assert "\n" not in str(caught.value.problem)
    return caught.value


def test_the_password_of_the_keyring_logs_in_and_a_new_one_is_taken_over(
    settings, tmp_path, ring, monkeypatch
):
    """Without LAB_PASS_FILE a child asks the keyring; what the servers refuse is asked for anew."""
    monkeypatch.setattr("gpuwatch_tray.lab.login._ASK_AGAIN", 0.0)
    monkeypatch.setattr("gpuwatch_tray.lab.login._QUESTION_SECONDS", 60.0)
    monkeypatch.setattr("gpuwatch_tray.lab.prometheus.PROMETHEUS_SECONDS", 60.0)
    asked = replace(settings, password_file=None)
    account = f"{SERVICE}/ada@{settings.prometheus[0].removeprefix('https://')}"
    ring.keep(account, "an old one")
    with closing(PrometheusLab(asked, LabSecret(asked), SilencesMade(tmp_path / "made.json"))) as lab:
        assert "does not take our login" in str(lab.read().problem)
        ring.keep(account, PASSWORD)
        view = lab.read()
    assert "no target of the job" in str(view.problem)
    assert PASSWORD not in repr(view)


def test_who_asks_the_keyring_so_does_not_load_its_library(ring):
    """It costs 24 MiB, which the tray must not have for a password."""
    ring.keep(f"{SERVICE}/{keyring_account(KEPT)}", "geheim")
    code = (
        "import sys\n"
        "from gpuwatch_tray.lab.login import LabSecret\n"
        "from gpuwatch_tray.settings import LabLogin, LabSettings\n"
        f"lab = LabSettings(prometheus={KEPT.prometheus!r}, login=LabLogin.BASIC, user='ada')\n"
        "assert LabSecret(lab).read(60.0).reveal() == 'geheim'\n"
        "assert 'keyring' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).parents[2])


def test_a_password_belongs_to_the_server_that_it_was_stored_for(ring):
    """Where LAB_PROMETHEUS or LAB_USER is another, it is not sent there; a token has its own account."""
    ring.keep(f"{SERVICE}/ada@prometheus.example.org:9090", "geheim")
    assert LabSecret(KEPT).read(60.0).reveal() == "geheim"
    for other, account in (
        (replace(KEPT, prometheus=("https://other.example.org",)), "ada@other.example.org"),
        (replace(KEPT, login=LabLogin.BEARER), "token@prometheus.example.org:9090"),
    ):
        error = failure(LabSecret(other))
        assert account in error.text
        assert ("lab password" in error.mend, "LAB_PASS_FILE" in error.mend) == (True, True)


def test_without_a_keyring_the_file_is_told(monkeypatch):
    """What the library says comes through from the child, with the other way."""
    for key, value in NONE.items():
        monkeypatch.setenv(key, value)
    error = failure(LabSecret(KEPT))
    assert error.text == "the keyring cannot be used: none is available"
    assert "LAB_PASS_FILE" in error.mend


def test_a_keyring_that_waits_for_a_person_holds_up_no_question():
    """Each question gives up in time, one child waits for all of them, and it ends with the lab."""
    begun = []

    def command(account):
        begun.append(account)
        return [sys.executable, "-c", "import time; time.sleep(600)"]

    with closing(LabSecret(KEPT, command)) as secret:
        for _ in range(3):
            assert "is it locked?" in failure(secret, 0.01).text
        assert begun == ["ada@prometheus.example.org:9090"]
    assert "did not answer" in failure(secret).text


def test_a_child_that_does_not_answer_as_ours_is_told():
    """A replaced program, another's output, none at all: one line, and nothing of what it said."""
    for said in ("", "geheim", "[]", '{"geheim": 1}'):
        error = failure(LabSecret(KEPT, telling(said)))
        assert "was gpuwatch-tray replaced?" in error.text
        assert "geheim" not in str(error.problem)
    assert "replaced?" in failure(LabSecret(KEPT, lambda _account: ["/nowhere/at/all"])).text


def test_what_came_is_kept_and_what_failed_is_not_asked_for_at_each_question(monkeypatch):
    """One child for all questions; after a failure or a refusal another, but not at once."""
    good, bad = told_secret("one"), told_secret(None, SecretError("it is locked", "unlock it"))
    secret = LabSecret(KEPT, telling(bad, bad, good, told_secret("two")))
    monkeypatch.setattr("gpuwatch_tray.lab.login._ASK_AGAIN", 0.0)
    for _ in range(2):  # a locked keyring asks the person: only when wanted, else ten minutes later
        assert [failure(secret).text for _ in range(3)] == ["it is locked"] * 3
        secret.retry()
    assert [secret.read(60.0).reveal() for _ in range(3)] == ["one"] * 3
    secret.refused()
    assert [secret.read(60.0).reveal() for _ in range(2)] == ["two"] * 2
    assert json.loads(good) == {"secret": "one"}
