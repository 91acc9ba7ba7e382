"""
A local stand-in for Google: consent page, token, revocation and Gmail's send, over plain HTTP.

    with GoogleServer() as google:
        google.answer("send", 429, {"error": ...})        # for good; times=1: once
        google.mails, google.requests
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path


SCOPE = "https://www.googleapis.com/auth/gmail.send"


class GoogleServer:
    """The stand-in, from `with` to its end. `good_token` is what it gives out and accepts."""

    def __init__(self) -> None:
        self.good_token = "ya29.good-access-token"
        self.mails: list[EmailMessage] = []
        self.requests: list[tuple[str, dict[str, str]]] = []  # (endpoint, form or query)
        self.granted = SCOPE
        self.refresh_token: str | None = "1//new-refresh-token"
        self._answers: dict[str, list[Any]] = {}
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._httpd.daemon_threads = False
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,), name="google")

    @property
    def url(self) -> str:
        """Where it is, with a slash at the end."""
        return f"http://127.0.0.1:{self._httpd.server_port}/"

    def count(self, endpoint: str) -> int:
        """How often "token", "auth", "revoke" or "send" was asked."""
        return sum(name == endpoint for name, _ in self.requests)

    def answer(self, endpoint: str, status: int, body: object, *, times: int = -1, **headers: str) -> None:
        """Give this answer instead; a str body is sent as HTML, status 0 drops the connection."""
        self._answers[endpoint] = [times, status, body, headers]

    def write_token(self, path: Path, **changes: Any) -> Path:
        """Write a token.json for this server, good for long."""
        content = {
            "token": self.good_token,
            "refresh_token": "1//old-refresh-token",
            "token_uri": f"{self.url}token",
            "client_id": "42.apps.googleusercontent.com",
            "client_secret": "GOCSPX-client-secret",
            "scopes": [SCOPE],
            "universe_domain": "googleapis.com",
            "account": "",
            "expiry": "2999-01-01T00:00:00.000000Z",
        }
        path.write_text(json.dumps(content | changes))
        path.chmod(0o600)
        return path

    def write_credentials(self, path: Path, kind: str = "installed", **changes: Any) -> Path:
        """Write a credentials.json whose addresses are this server's."""
        client = {
            "client_id": "42.apps.googleusercontent.com",
            "project_id": "gpu",
            "auth_uri": f"{self.url}auth",
            "token_uri": f"{self.url}token",
            "client_secret": "GOCSPX-client-secret",
            "redirect_uris": ["http://localhost"],
        }
        path.write_text(json.dumps({kind: client | changes}))
        return path

    def _programmed(self, endpoint: str) -> tuple[int, object, dict[str, str]] | None:
        found = self._answers.get(endpoint)
        if found is None or found[0] == 0:
            return None
        found[0] -= 1
        return found[1], found[2], found[3]

    def _back(self, form: dict[str, str]) -> str:
        query = {"state": form["state"], "code": "4/code", "scope": self.granted}
        return f"{form['redirect_uri']}?{urlencode(query)}"

    def _normal(
        self, endpoint: str, form: dict[str, str], headers: Any, body: bytes
    ) -> tuple[int, object, dict[str, str]]:
        if endpoint == "auth":
            return 302, "", {"Location": self._back(form)}
        if endpoint == "auth_without_browser":  # the address at which the browser would end
            return 200, self._back(form), {}
        if endpoint == "token":
            token = {"access_token": self.good_token, "expires_in": 3599, "token_type": "Bearer"}
            token["scope"] = self.granted
            if form["grant_type"] == "authorization_code" and self.refresh_token:
                token["refresh_token"] = self.refresh_token
            return 200, token, {}
        if endpoint == "revoke":
            return 200, {}, {}
        if headers["Authorization"] != f"Bearer {self.good_token}":
            return 401, {"error": {"code": 401, "message": "Invalid Credentials"}}, {}
        raw = base64.urlsafe_b64decode(json.loads(body)["raw"])
        self.mails.append(email.message_from_bytes(raw, policy=email.policy.default))
        return 200, {"id": "18c2", "threadId": "18c0", "labelIds": ["SENT"]}, {}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        google = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                path = urlsplit(self.path).path
                endpoint = path.rpartition("/")[2]  # Gmail's own path ends in send
                form = {}
                if endpoint != "send":
                    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
                self._reply(endpoint, form, body)

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                self._reply(parts.path[1:], {k: v[0] for k, v in parse_qs(parts.query).items()}, b"")

            def _reply(self, endpoint: str, form: dict[str, str], body: bytes) -> None:
                google.requests.append((endpoint, form))
                answer = google._programmed(endpoint) or google._normal(endpoint, form, self.headers, body)
                status, content, headers = answer
                self.close_connection = True
                if status == 0:
                    return
                page = isinstance(content, str)
                data = content.encode() if page else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if page else "application/json; charset=UTF-8")
                self.send_header("Content-Length", str(len(data)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()
