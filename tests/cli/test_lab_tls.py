"""The lab over TLS in the running program, which is loaded without OpenSSL until something asks for it."""

from __future__ import annotations

import json
import ssl

import pytest
import trustme

from tests.lab.scripted import ScriptedServer, vector
from tests.support.installed import Installed
from tests.support.timing import wait_until

PASSWORD = "geheim-und-lang-4711"


@pytest.fixture
def served():
    """A server over TLS that has no hosts, and the authority of its certificate."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with ScriptedServer(lambda _head: [vector()], context) as server:
        yield server, authority


@pytest.mark.parametrize("ours", [True, False], ids=["known", "unknown"])
def test_the_running_program_asks_over_tls_and_checks_the_certificate(tmp_path, served, ours):
    """With the authority it is asked and logged in to; without it nothing is sent, and no password."""
    server, authority = served
    desk = Installed(tmp_path)
    trusted = tmp_path / "ca.pem"
    (authority if ours else trustme.CA()).cert_pem.write_to_path(trusted)
    secret = desk.write("lab-pass", PASSWORD)
    secret.chmod(0o600)
    desk.write(
        "lab.env",
        f"LAB_PROMETHEUS={server.url}\nLAB_CA_FILE={trusted}\nLAB_AUTH=basic\nLAB_USER=ada\n"
        f"LAB_PASS_FILE={secret}\nLAB_POLL_SEC=5\n",
    )
    words = "has no target of the job" if ours else "is not accepted"

    def told():
        answer = json.loads(desk.run("status", "--json").stdout)
        return words in ((answer["lab"] or {}).get("headline") or "") and answer["lab"]

    with desk.watching():
        shown = wait_until(told, "the lab has been asked")
    assert shown["state"] == "no_data"
    assert any("authorization: Basic" in head for head in server.heads) is ours
    assert bool(server.heads) is ours
    log = "".join(path.read_text() for path in desk.state.glob("*.log*"))
    assert PASSWORD not in log
