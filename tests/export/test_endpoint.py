"""The endpoint: the text that promtool takes, and answers whatever other clients do."""

from __future__ import annotations

import socket
import ssl
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection

import pytest
import trustme

from gpuwatch_tray.export import endpoint as module
from gpuwatch_tray.export.endpoint import Endpoint, EndpointError, TlsFiles, metrics_text
from gpuwatch_tray.export.metrics import METRICS, MetricKind
from tests.support.fakes import START
from tests.support.promtool import promtool
from tests.support.timing import wait_until

# A row of each metric.
ROWS = {name: {tuple(f"{label}-1" for label in row.labels): 1.0} for name, row in METRICS.items()}


@pytest.fixture(autouse=True)
def _ends_soon(monkeypatch):
    """Each test's endpoint ends at once."""
    monkeypatch.setattr(module, "ENDS_WITHIN", 0.01)


@contextmanager
def serving(tls=None, rows=ROWS):
    endpoint = Endpoint("127.0.0.1", 0, lambda: (rows, START), tls)
    endpoint.start()
    try:
        yield endpoint.port
    finally:
        endpoint.stop()


def scrape(port, context=None, host="localhost", **headers):
    """The text of the metrics, and its type."""
    kind = HTTPConnection if context is None else partial(HTTPSConnection, context=context)
    with closing(kind(host, port, timeout=60)) as connection:
        connection.request("GET", "/metrics", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read().decode(), answer.headers["Content-Type"]


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def files(authority, tmp_path):
    """A certificate with its key in the same file, and the authority's."""
    certificate, ca = tmp_path / "host.pem", tmp_path / "ca.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(ca)
    return certificate, ca


def test_promtool_takes_every_metric():
    """Names, units, HELP and TYPE of all of the table pass `promtool check metrics` without a word."""
    text = metrics_text(ROWS, START)
    assert promtool("check", "metrics", told=text) == (0, "")
    for name, row in METRICS.items():
        kind = "counter" if row.kind is MetricKind.COUNTER else "gauge"
        assert f"# TYPE gpuwatch_{name} {kind}\n" in text
        assert f"# HELP gpuwatch_{name} {row.about}\n" in text


def test_a_counter_says_since_when_it_counts():
    """The Xids are counted by this program: a restart can be told from a machine without errors."""
    assert "gpuwatch_gpu_xid_created{" in metrics_text(ROWS, START)
    assert "gpuwatch_gpu_energy_joules_created" not in metrics_text(ROWS, START)


def test_a_scrape_has_the_format_that_it_asks_for():
    """Prometheus's own text, and OpenMetrics where that is asked for."""
    with serving() as port:
        text, kind = scrape(port)
        assert text == metrics_text(ROWS, START)
        assert kind.startswith("text/plain")
        text, kind = scrape(port, Accept="application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")


def test_a_metric_has_no_facts_about_this_process():
    """Neither Python's nor the library's: only what is in the table."""
    with serving() as port:
        names = {line.split()[2] for line in scrape(port)[0].splitlines() if line.startswith("# TYPE")}
    assert names == {f"gpuwatch_{name}" for name in METRICS} | {"gpuwatch_gpu_xid_created"}


@pytest.mark.parametrize(
    ("named", "status"),
    [("localhost:9836", 200), ("127.0.0.1", 200), ("[::1]:9836", 200), ("evil.example", 421), ("", 421)],
)
def test_a_page_in_the_browser_cannot_read_it(named, status):
    """One whose server's name was made to lead here asks for that name, and gets nothing."""
    with serving() as port, closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/metrics", headers={"Host": named})
        answer = connection.getresponse()
        assert (answer.status, b"gpuwatch_" in answer.read()) == (status, status == 200)


def test_a_port_that_is_taken_is_told():
    """One line names the address and why."""
    with serving() as port, pytest.raises(EndpointError, match=f"127.0.0.1:{port}.*in use"):
        Endpoint("127.0.0.1", port, lambda: ({}, None))


def test_a_host_that_is_not_known_is_told():
    """One line, too."""
    with pytest.raises(EndpointError, match=r"nowhere\.invalid"):
        Endpoint("nowhere.invalid", 0, lambda: ({}, None))


def test_ipv6_is_answered():
    """At ::1 as well."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        endpoint = Endpoint("::1", 0, lambda: (ROWS, START))
    except EndpointError:
        pytest.skip("this machine has no ::1")
    endpoint.start()
    try:
        assert "gpuwatch_reading_ok" in scrape(endpoint.port, host="::1")[0]
    finally:
        endpoint.stop()


@pytest.mark.parametrize("silent", [1, 8])
def test_a_client_that_says_nothing_holds_up_no_other(files, silent):
    """With TLS, connections without a handshake are open while another one gets its answer."""
    certificate, ca = files
    with serving(TlsFiles(certificate, None, None)) as port:
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(silent)]
        try:
            assert "gpuwatch_reading_ok" in scrape(port, ssl.create_default_context(cafile=str(ca)))[0]
        finally:
            for each in idle:
                each.close()


def test_only_who_has_a_certificate_gets_in(files, authority, tmp_path):
    """With an authority for clients, one without its certificate gets nothing, one with it all."""
    certificate, ca = files
    own = tmp_path / "client.pem"
    authority.issue_cert("prometheus@lab.example").private_key_and_cert_chain_pem.write_to_path(own)
    context = ssl.create_default_context(cafile=str(ca))
    with serving(TlsFiles(certificate, None, ca)) as port:
        with pytest.raises((OSError, HTTPException)):
            scrape(port, context)
        context.load_cert_chain(own)
        assert "gpuwatch_reading_ok" in scrape(port, context)[0]


def test_a_certificate_that_cannot_be_used_is_told(tmp_path):
    """Missing, or no certificate: the line names the file."""
    for file in (tmp_path / "missing.pem", tmp_path / "text.pem"):
        (tmp_path / "text.pem").write_text("no certificate\n")
        with pytest.raises(EndpointError, match=str(file)):
            Endpoint("127.0.0.1", 0, lambda: ({}, None), TlsFiles(file, None, None))


def test_more_connections_than_places_are_closed(monkeypatch):
    """One too many is closed at once, and a place that is left is taken again."""
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 2)
    with serving() as port:
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
        with socket.create_connection(("127.0.0.1", port)) as third:
            third.settimeout(60)
            assert third.recv(1) == b""
        idle.pop().close()

        def answered():
            try:
                return "gpuwatch_reading_ok" in scrape(port)[0]
            except (OSError, HTTPException):
                return False

        wait_until(answered, "the place is free again")
        idle.pop().close()
