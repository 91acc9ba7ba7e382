"""
Chat services on loopback, that answer as their documents say: ntfy, Slack, Discord, Telegram, Matrix, Teams,
WeChat Work, and a webhook.

They stand behind a proxy of their own, which `variables` name: it answers for every host by TLS, with a
certificate of an authority of its own. So the program reaches them at their real addresses.

    with ChatServer() as chats:
        chats.mood["slack"] = "busy"       # refused, busy, broken, hang, drip, drop, redirect, page
        chats.taken["slack"]               # the messages that it took
        chats.strangers                    # requests for any other host: what a redirect would bring
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import tempfile
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import trustme

if TYPE_CHECKING:
    from collections.abc import Callable


ELSEWHERE = "elsewhere.example.net"
SLACK, DISCORD, TELEGRAM = "hooks.slack.com", "discord.com", "api.telegram.org"
NTFY, MATRIX, TEAMS = "push.example.org", "matrix.example.org", "prod-1.westus.logic.azure.com"
WECOM, HOOK = "qyapi.weixin.qq.com", "hook.example.org"
# Made up, in the form that each service demands; none may be seen anywhere.
CANARY = "c4n4ry"
TOKENS = {
    "ntfy": f"tk_{CANARY}ntfy0123456789abcdefgh",
    "slack": f"T00000000/B00000000/{CANARY}slack00000000",
    "discord": f"123456789012345678/{CANARY}discord" + "d" * 50,
    "telegram": f"123456789:{CANARY}telegram_" + "t" * 20,
    "matrix": f"{CANARY}matrixpassword",
    "teams": f"{CANARY}teams0123456789abcdef",
    "wecom": f"{CANARY}wecom-1234-5678-9012-345678901234",
    "webhook": f"{CANARY}webhooksecret",
}
ADDRESSES = {
    "ntfy": f"ntfys://{TOKENS['ntfy']}@{NTFY}/gpus?auth=token",
    "slack": f"https://{SLACK}/services/{TOKENS['slack']}",
    "discord": f"https://{DISCORD}/api/webhooks/{TOKENS['discord']}",
    "telegram": f"tgram://{TOKENS['telegram']}/987654321",
    "matrix": f"matrixs://ada:{TOKENS['matrix']}@{MATRIX}/!room:{MATRIX}",
    "teams": f"workflows://{TEAMS}/abcdef0123456789abcdef0123456789/{TOKENS['teams']}/",
    "wecom": f"wecombot://{TOKENS['wecom']}",
    "webhook": f"webhook://{HOOK}/in?secret={TOKENS['webhook']}",
}
RETRY_AFTER = 37


@dataclass(frozen=True)
class ChatRequest:
    """One request, as a service sees it."""

    method: str
    host: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


Answer = tuple[int, dict[str, str], bytes]


def answered(status: int, body: object = b"", **headers: str) -> Answer:
    """An answer; what is no bytes goes as JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes):
        return status, named, body
    return status, {"Content-Type": "application/json"} | named, json.dumps(body).encode()


class ChatServer:
    """The services, from `with` to its end."""

    def __init__(self) -> None:
        self.mood: dict[str, str] = {}
        self.taken: dict[str, list[ChatRequest]] = {name: [] for name in ADDRESSES}
        self.strangers: list[ChatRequest] = []
        self.asked: list[str] = []  # the services, in the order of the requests
        self.released = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="chats")
        self._authority = trustme.CA()
        self.ca_file = Path(self._folder.name) / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._httpd.daemon_threads = True
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,), name="chats")

    @property
    def port(self) -> int:
        """Where it listens, as a proxy and without TLS too."""
        return int(self._httpd.server_port)

    @property
    def variables(self) -> dict[str, str]:
        """What makes a program reach the services here."""
        return {"HTTPS_PROXY": f"http://127.0.0.1:{self.port}", "REQUESTS_CA_BUNDLE": str(self.ca_file)}

    def texts(self, service: str) -> list[str]:
        """The texts that the service took, title and all."""
        return [_text(service, request) for request in self.taken[service]]

    def answer(self, request: ChatRequest) -> Answer | None:
        """Answer one request; None drops the connection."""
        service = _service_at(request)
        with self._lock:
            if service is None:
                self.strangers.append(request)
                return answered(200, b"thank you")
            self.asked.append(service)
        mood = self.mood.get(service, "")
        if mood == "hang":
            self.released.wait(60)
            return None
        if mood == "drop":
            return None
        if mood == "broken":
            return answered(503, b"<html>Service Unavailable</html>")
        if mood == "redirect":
            return answered(307, Location=f"https://{ELSEWHERE}/give-me-all")
        if mood == "page":  # of a login page in front of the service
            return answered(403, b"<html>Please sign in</html>")
        reply, taken = SERVICES[service](request, mood)
        if taken:
            with self._lock:
                self.taken[service].append(request)
        return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        chats = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            tls_host = ""

            def do_CONNECT(self) -> None:
                self.tls_host = self.path.rpartition(":")[0]
                self.send_response(200)
                self.end_headers()
                self.wfile.flush()
                self.connection = chats._context(self.tls_host).wrap_socket(self.connection, server_side=True)
                self.rfile = self.connection.makefile("rb", -1)
                self.wfile = self.connection.makefile("wb", 0)
                self.close_connection = False

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                host = self.tls_host or self.headers["Host"]
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = ChatRequest(self.command, host, self.path, headers, body)
                reply = chats.answer(request)
                self.close_connection = True
                if reply is None:
                    return
                status, named, content = reply
                drips = chats.mood.get(_service_at(request) or "") == "drip"
                if drips:
                    status, content = 200, content or b" "
                self.send_response(status)
                for name, value in named.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if drips:
                    self.wfile.write(content[:-1])
                    chats.released.wait(60)
                self.wfile.write(content)

            do_GET = do_PUT = do_POST  # noqa: N815  # the names that http.server looks for

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # who asked is gone
                    pass
                finally:
                    self.connection.close()

        return Handler

    def _context(self, host: str) -> ssl.SSLContext:
        with self._lock:
            if host not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self._authority.issue_cert(host).configure_cert(context)
                self._contexts[host] = context
            return self._contexts[host]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()
        self._folder.cleanup()


def _service_at(request: ChatRequest) -> str | None:
    hosts = {
        NTFY: "ntfy",
        SLACK: "slack",
        DISCORD: "discord",
        TELEGRAM: "telegram",
        MATRIX: "matrix",
        TEAMS: "teams",
        WECOM: "wecom",
        HOOK: "webhook",
    }
    host = request.host.partition(":")[0]
    if host == "127.0.0.1":  # without TLS
        return "webhook" if request.path.startswith("/in") else "ntfy"
    return hosts.get(host)


def _busy(body: object = b"", **headers: str) -> tuple[Answer, bool]:
    return answered(429, body, **({"Retry_After": str(RETRY_AFTER)} | headers)), False


def _ntfy(request: ChatRequest, mood: str) -> tuple[Answer, bool]:
    # https://docs.ntfy.sh/publish/: JSON at the server's root, or the topic as the path
    if mood == "refused" or (
        request.headers.get("authorization") != f"Bearer {TOKENS['ntfy']}" and request.host == NTFY
    ):
        return answered(401, {"code": 40101, "http": 401, "error": "unauthorized"}), False
    if mood == "busy":
        return _busy({"code": 42901, "http": 429, "error": "limit reached: too many requests"})
    message = request.json
    if len(message["message"].encode()) > 4096:
        return answered(413, {"code": 41301, "http": 413, "error": "message too large"}), False
    return answered(200, {"id": "hwQ2YpKdmg", "event": "message", "topic": message["topic"]}), True


def _slack(request: ChatRequest, mood: str) -> tuple[Answer, bool]:
    # https://api.slack.com/messaging/webhooks#handling_errors
    if mood == "refused" or request.path != f"/services/{TOKENS['slack']}":
        return answered(403, b"invalid_token"), False
    if mood == "busy":
        return _busy(b"rate_limited")
    return answered(200, b"ok"), bool(request.json)


def _discord(request: ChatRequest, mood: str) -> tuple[Answer, bool]:
    # https://discord.com/developers/docs/resources/webhook#execute-webhook
    if mood == "refused" or not request.path.startswith(f"/api/webhooks/{TOKENS['discord']}"):
        return answered(404, {"message": "Unknown Webhook", "code": 10015}), False
    if mood == "busy":
        body = {"message": "You are being rate limited.", "retry_after": float(RETRY_AFTER), "global": False}
        return answered(429, body), False
    message = request.json
    if len(message.get("content") or "") > 2000:
        return answered(400, {"content": ["Must be 2000 or fewer in length."]}), False
    return answered(204), True


def _telegram(request: ChatRequest, mood: str) -> tuple[Answer, bool]:
    # https://core.telegram.org/bots/api#making-requests
    if mood == "refused" or not request.path.startswith(f"/bot{TOKENS['telegram']}/"):
        return answered(401, {"ok": False, "error_code": 401, "description": "Unauthorized"}), False
    if mood == "busy":
        body = {"ok": False, "error_code": 429, "parameters": {"retry_after": RETRY_AFTER}}
        return answered(429, body), False
    if len(request.json["text"]) > 4096:
        return answered(400, {"ok": False, "error_code": 400, "description": "message is too long"}), False
    return answered(200, {"ok": True, "result": {"message_id": 7}}), True


def _matrix(request: ChatRequest, mood: str) -> tuple[Answer, bool]:
    # https://spec.matrix.org/v1.11/client-server-api/
    path = urlsplit(request.path).path
    if path.endswith("/login"):
        if mood == "refused" or request.json.get("password") != TOKENS["matrix"]:
            return answered(403, {"errcode": "M_FORBIDDEN", "error": "Invalid password"}), False
        body = {"user_id": f"@ada:{MATRIX}", "access_token": f"{CANARY}matrixaccess", "home_server": MATRIX}
        return answered(200, body), False
    if mood == "busy":
        body = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too many", "retry_after_ms": RETRY_AFTER * 1000}
        return answered(429, body), False
    if "/join" in path:
        return answered(200, {"room_id": f"!room:{MATRIX}"}), False
    if "/send/" in path:
        return answered(200, {"event_id": "$event"}), True
    return answered(200, {}), False


def _teams(request: ChatRequest, mood: str) -> tuple[Answer, bool]:
    # https://learn.microsoft.com/power-automate/teams/send-a-message-in-teams
    if mood == "refused" or TOKENS["teams"] not in request.path:
        return answered(401, {"error": {"code": "DirectApiAuthorizationRequired"}}), False
    if mood == "busy":
        return _busy({"error": {"code": "WorkflowRunActionsRateLimitExceeded"}})
    return answered(202), bool(request.json["attachments"])


def _wecom(request: ChatRequest, mood: str) -> tuple[Answer, bool]:
    # https://developer.work.weixin.qq.com/document/path/91770: what is refused has the status 200 as well
    if mood == "refused" or TOKENS["wecom"] not in request.path:
        return answered(200, {"errcode": 93000, "errmsg": "invalid webhook url"}), False
    if mood == "busy":
        return answered(200, {"errcode": 45009, "errmsg": "api freq out of limit"}), False
    if len(request.json["text"]["content"].encode()) > 2048:
        return answered(200, {"errcode": 40058, "errmsg": "content exceed max length"}), False
    return answered(200, {"errcode": 0, "errmsg": "ok"}), True


def _webhook(request: ChatRequest, mood: str) -> tuple[Answer, bool]:
    # https://www.standardwebhooks.com
    named = (request.headers["webhook-id"], request.headers["webhook-timestamp"])
    signed = ".".join(named).encode() + b"." + request.body
    digest = hmac.new(TOKENS["webhook"].encode(), signed, hashlib.sha256).digest()
    right = request.headers.get("webhook-signature") == f"v1,{base64.b64encode(digest).decode()}"
    if mood == "refused" or not right:
        return answered(401, b"bad signature"), False
    if mood == "busy":
        return _busy()
    return answered(204), True


SERVICES: dict[str, Callable[[ChatRequest, str], tuple[Answer, bool]]] = {
    "ntfy": _ntfy,
    "slack": _slack,
    "discord": _discord,
    "telegram": _telegram,
    "matrix": _matrix,
    "teams": _teams,
    "wecom": _wecom,
    "webhook": _webhook,
}


def _text(service: str, request: ChatRequest) -> str:
    """All texts of a message in one, whatever its form."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(request.json)
    return "\n".join(found)
