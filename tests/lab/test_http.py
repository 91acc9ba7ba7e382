"""What is asked of the lab's servers: bounded, without detours, and without a secret in any text."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import ssl
import traceback

import pytest
import trustme
from msgspec.structs import replace

from gpuwatch_tray.lab.http import MOST_BYTES, LabServer
from gpuwatch_tray.lab.lab_error import LabError, LabFailure
from gpuwatch_tray.settings import LabLogin, LabSettings
from tests.lab.scripted import DRIPPING_HEAD, DrippingServer, GivenSecret, ScriptedServer, reply
from tests.support.installed import closed_port

SECRET = "geheim-und-lang-4711"
BASIC = LabSettings(login=LabLogin.BASIC, user="ada", password_file=None)


def ask(url, settings=None, seconds=5.0):
    server = LabServer(url, settings or LabSettings(), GivenSecret(SECRET))
    try:
        return server.get("/api/v1/query", seconds, [("query", "up")])
    finally:
        server.close()


def failure(url, settings=None, seconds=5.0) -> LabError:
    with pytest.raises(LabError) as caught:
        ask(url, settings, seconds)
    shown = f"{caught.value} {caught.value.mend} {''.join(traceback.format_exception(caught.value))}"
    assert SECRET not in shown
    assert "\n" not in str(caught.value)
    return caught.value


def serving(answer, **kwargs):
    return ScriptedServer(lambda _head: [answer], **kwargs)


def test_the_answer_comes_with_its_size_and_the_servers_clock():
    """The value, its bytes and the header Date are what is told."""
    with serving(reply('{"a": 1}', Date="Thu, 01 Jan 2026 00:00:00 GMT")) as server:
        answer = ask(server.url)
    assert (answer.json, answer.size, answer.clock) == ({"a": 1}, 8, 1767225600.0)
    assert "GET /api/v1/query?query=up HTTP/1.1" in server.heads[0]


def test_one_connection_serves_many_questions_and_a_closed_one_is_opened_again():
    """A poll is one connection; a server that closes it between two polls costs nothing but a new one."""
    with serving(reply("1")) as server:
        client = LabServer(server.url, LabSettings(), GivenSecret())
        for _ in range(3):
            client.get("/", 5)
        assert server.connections == 1
        client.close()
    answers = iter([[reply("1")], [b""], [reply("2")]])
    with ScriptedServer(lambda _head: next(answers)) as server:
        client = LabServer(server.url, LabSettings(), GivenSecret())
        assert [client.get("/", 5).json, client.get("/", 5).json] == [1, 2]
        client.close()


def test_a_write_is_never_sent_twice():
    """A connection that breaks after a silence was posted may have made it: it is told, not repeated."""
    with ScriptedServer(lambda _head: [b""]) as server:
        client = LabServer(server.url, LabSettings(), GivenSecret())
        with pytest.raises(LabError, match="broke the connection off"):
            client.post("/", 5, {"a": 1})
        client.close()
    assert server.bodies == [b'{"a": 1}']


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (reply("", "401 Unauthorized"), LabFailure.LOGIN, "does not take our login"),
        (reply("", "403 Forbidden"), LabFailure.LOGIN, "refuses access"),
        (reply("404 page not found", "404 Not Found"), LabFailure.OTHER_PROGRAM, "no such page"),
        (reply("", "503 Service Unavailable"), LabFailure.BUSY, "HTTP 503"),
        (reply('{"error": "parse error"}', "400 Bad Request"), LabFailure.QUERY, "parse error"),
        (reply('"no matchers"', "422 Unprocessable Entity"), LabFailure.QUERY, "no matchers"),
        (reply("<html>Log in</html>"), LabFailure.OTHER_PROGRAM, "with a page and not with JSON"),
        (reply("[" * 100_000), LabFailure.OTHER_PROGRAM, "not with JSON"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", LabFailure.UNREACHABLE, "broke the connection off"),
    ],
)
def test_each_wrong_answer_is_named(answer, kind, words):
    """What is not an answer is told by kind and in words, on one line."""
    with serving(answer) as server:
        error = failure(server.url, BASIC)
    assert (error.kind, words in str(error)) == (kind, True), str(error)


def test_a_redirect_is_not_followed_and_takes_no_login_along():
    """The login goes to the configured address alone."""
    with serving(reply("{}")) as elsewhere:
        moved = reply("", "302 Found", Location=f"{elsewhere.url}/api/v1/query")
        with serving(moved) as server:
            assert failure(server.url, BASIC).kind is LabFailure.OTHER_PROGRAM
    assert elsewhere.heads == []


def test_a_servers_words_are_redacted_and_visible():
    """What a server says is foreign: no token in it and no mark that turns text round is shown."""
    said = json.dumps({"error": "bad \u202e password=hunter2secret\nx" + "y" * 1000})
    with serving(reply(said, "400 Bad Request")) as server:
        text = str(failure(server.url))
    assert "hunter2secret" not in text
    assert "\\u202e" in text
    assert len(text) < 400


def test_an_answer_that_is_too_large_is_broken_off():
    """Neither many bytes nor few that unpack to many fill the memory."""
    body = b" " * (MOST_BYTES + 2)
    packed = reply(gzip.compress(body), Content_Encoding="gzip")
    for answer in (reply(body), packed):
        with serving(answer) as server:
            error = failure(server.url)
        assert error.kind is LabFailure.QUERY
        assert "more than 8 MiB" in str(error)


DRIPPING = {
    "headers": DRIPPING_HEAD,
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
    "chunk's length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
}


def left_and_asked_anew(server, settings=None, url="", seconds=0.5):
    """A question is given up when its time is over, and the next one is answered over a new connection."""
    client = LabServer(url or server.url, settings or LabSettings(), GivenSecret(SECRET))
    try:
        with pytest.raises(LabError, match="did not answer within") as caught:
            client.get("/api/v1/query", seconds)
        assert caught.value.kind is LabFailure.UNREACHABLE
        assert client.get("/api/v1/query", 30).json == 2
    finally:
        client.close()
    assert server.connections == 2


@pytest.mark.parametrize("place", DRIPPING)
def test_a_server_that_drips_is_left(place):
    """Bytes that come one by one do not stretch the time, wherever in the answer they come."""
    with DrippingServer(DRIPPING[place]) as server:
        left_and_asked_anew(server)


@pytest.mark.parametrize("place", ["headers", "body"])
def test_a_server_that_drips_within_tls_is_left(place, authority, tmp_path):
    """The same where each byte is a record of its own."""
    with DrippingServer(DRIPPING[place], tls=context(authority, "localhost")) as server:
        left_and_asked_anew(server, LabSettings(ca_file=tmp_path / "ca.pem"), seconds=2)


def test_a_server_that_drips_its_tls_greeting_is_left(authority, tmp_path):
    """Of the record that it announces one byte after the other comes, and never the last."""
    begin = b"\x16\x03\x03\x3f\xff\x02"  # a handshake record of 16 KB
    with DrippingServer(begin, b"\0", greeting=True, tls=context(authority, "localhost")) as server:
        left_and_asked_anew(server, LabSettings(ca_file=tmp_path / "ca.pem"))


def test_a_proxy_that_drips_is_left(authority, tmp_path):
    """Its answer to CONNECT is waited for no longer than any other."""
    ours = LabSettings(ca_file=tmp_path / "ca.pem")
    with DrippingServer(DRIPPING_HEAD) as proxy:
        settings = replace(ours, proxy=proxy.url)
        assert "did not answer within" in str(failure("https://localhost:9", settings, seconds=0.5))
    assert proxy.heads[0].startswith("CONNECT localhost:9")


def test_a_question_sent_twice_has_one_time():
    """A kept connection that breaks is opened again within the time that was given, not for as long anew."""
    answers = iter([[reply("1")], [b""]])
    server = ScriptedServer(lambda _head: next(answers, None) or (server.end.wait(30), [b""])[1])
    with server:
        client = LabServer(server.url, LabSettings(), GivenSecret())
        assert client.get("/", 5).json == 1
        with pytest.raises(LabError, match="did not answer within"):
            client.get("/", 0.5)
        client.close()


def test_a_server_that_says_nothing_is_left():
    """Silence ends with the time that was given."""
    server = ScriptedServer(lambda _head: (server.end.wait(30), [b""])[1])
    with server:
        assert "did not answer within" in str(failure(server.url, seconds=0.2))


def test_nobody_at_the_address_is_told_with_the_systems_reason(monkeypatch):
    """A closed port and a name that does not exist differ."""
    assert "refused" in str(failure(f"http://127.0.0.1:{closed_port()}"))

    def unknown(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert "no such name" in str(failure("http://no-such-host.invalid"))


def test_the_environments_proxy_is_not_used(monkeypatch):
    """`http_proxy` says nothing here; LAB_PROXY does, and gets the question."""
    with serving(reply("1")) as server, serving(reply("2")) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert ask(server.url).json == 1
        assert proxy.heads == []
        assert ask(server.url, LabSettings(proxy=proxy.url)).json == 2
    assert proxy.heads[0].startswith(f"GET http://localhost:{server.port}/api/v1/query")


def test_the_login_is_in_the_header_alone(caplog):
    """Basic and bearer are headers: the address, and what is logged, do not have them."""
    caplog.set_level(logging.DEBUG)
    with serving(reply("1")) as server:
        ask(server.url, BASIC)
        ask(server.url, LabSettings(login=LabLogin.BEARER))
    first, second = server.heads
    assert "authorization: Basic YWRhOmdlaGVpbS11bmQtbGFuZy00NzEx" in first
    assert f"Authorization: Bearer {SECRET}" in second
    assert SECRET not in caplog.text
    assert "YWRhOm" not in caplog.text


@pytest.mark.parametrize("character", ["\r", "\0", "\v", " ", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_a_token_that_is_none_is_refused_and_not_shown(character):
    """A header cannot hold it, and what the library says of such a header has the token in it."""
    secret = f"{SECRET}{character}{SECRET}"
    server = LabServer("http://127.0.0.1:9", LabSettings(login=LabLogin.BEARER), GivenSecret(secret))
    with pytest.raises(LabError) as caught:
        server.get("/", 5)
    assert caught.value.kind is LabFailure.CONFIGURATION
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


def context(authority, *names, client=None) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(made)
    if client is not None:
        client.configure_trust(made)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def test_a_certificate_counts_only_from_a_known_authority_and_for_the_name(authority, tmp_path):
    """Unknown authority, and another's name: neither is spoken to; with LAB_CA_FILE the right one is."""
    ours = LabSettings(ca_file=tmp_path / "ca.pem")
    with serving(reply("1"), tls=context(authority, "localhost")) as server:
        error = failure(server.url)
        assert (error.kind, "LAB_CA_FILE" in error.mend) == (LabFailure.TLS, True)
        assert ask(server.url, ours).json == 1
    with serving(reply("1"), tls=context(authority, "elsewhere.example")) as server:
        assert failure(server.url, ours).kind is LabFailure.TLS
    assert server.heads == []


def test_a_server_that_asks_for_a_certificate_gets_ours(authority, tmp_path):
    """With LAB_CLIENT_CERT and LAB_CLIENT_KEY it lets us in, without them it does not."""
    mine = authority.issue_cert("ada@example.org")
    mine.cert_chain_pems[0].write_to_path(str(tmp_path / "me.pem"))
    mine.private_key_pem.write_to_path(str(tmp_path / "me.key"))
    without = LabSettings(ca_file=tmp_path / "ca.pem")
    given = LabSettings(
        ca_file=tmp_path / "ca.pem", client_cert=tmp_path / "me.pem", client_key=tmp_path / "me.key"
    )
    with serving(reply("1"), tls=context(authority, "localhost", client=authority)) as server:
        failure(server.url, without)
        assert ask(server.url, given).json == 1


def test_files_that_are_no_certificates_are_named(tmp_path):
    """The key of lab.env and the file stand in the error."""
    bad = tmp_path / "ca.pem"
    bad.write_text("nothing")
    for settings, key in (
        (LabSettings(ca_file=bad), "LAB_CA_FILE"),
        (LabSettings(ca_file=tmp_path / "none"), "LAB_CA_FILE"),
        (LabSettings(client_cert=bad), "LAB_CLIENT_CERT"),
    ):
        error = failure("https://localhost:1", settings)
        assert (error.kind, key in str(error), key in error.mend) == (LabFailure.CONFIGURATION, True, True)
