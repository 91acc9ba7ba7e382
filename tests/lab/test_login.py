"""The real servers behind passwords and TLS, by their own web.config.file; and the steps of `lab test`."""

from __future__ import annotations

import socket
import threading

import pytest
import trustme
from msgspec.structs import replace

from gpuwatch_tray.lab.lab_error import LabError
from gpuwatch_tray.lab.login import read_login
from gpuwatch_tray.lab.prometheus import PrometheusLab
from gpuwatch_tray.lab.silences_made import SilencesMade
from gpuwatch_tray.settings import LabLogin, LabSettings
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
    lab = PrometheusLab(settings, lambda: read_login(settings), SilencesMade(tmp_path / "made.json"))
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
    for asked in (settings, replace(settings, login=LabLogin.NONE)):
        view = read(asked, tmp_path)
        assert "asks for a login, or does not take ours" in str(view.problem)
        assert view.feed.value == "unreachable"


def test_without_the_authority_nobody_is_believed(settings, tmp_path):
    """The certificate of an unknown authority is not accepted, and the password is not sent."""
    view = read(replace(settings, ca_file=None), tmp_path)
    assert "certificate" in str(view.problem)
    assert "LAB_CA_FILE" in str(view.problem)


def test_a_new_password_in_the_file_is_taken_over(settings, tmp_path):
    """A token that is renewed needs no restart."""
    lab = PrometheusLab(settings, lambda: read_login(settings), SilencesMade(tmp_path / "made.json"))
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
        read_login(asked)
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
