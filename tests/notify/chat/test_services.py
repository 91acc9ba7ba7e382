"""Each service as its documents have it, by the real library and real TLS, in each of its moods."""

from __future__ import annotations

import base64
import hmac
import threading
import time

import pytest

from gpuwatch_tray.model import MailDetails, Message, MessageKind, Severity
from gpuwatch_tray.notify.chat import create_chat, sender, wire
from gpuwatch_tray.notify.chat.webhook import post_webhook
from gpuwatch_tray.notify.transport import FailureKind, TransportError
from gpuwatch_tray.settings.chat_addresses import parse_line
from tests.support.chatserver import ADDRESSES, CANARY, NTFY, RETRY_AFTER, TOKENS, ChatServer
from tests.support.fakes import START

# Apprise loads all it knows, a library that asks for an old module of Python among them.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
LINES = "\n".join(f"◆ GPU {number} was lost: it no longer answers" for number in range(100))
CONFIGURATION, TRANSIENT, QUOTA = FailureKind.CONFIGURATION, FailureKind.TRANSIENT, FailureKind.QUOTA


@pytest.fixture(scope="module")
def running():
    with ChatServer() as server:
        yield server


@pytest.fixture
def chats(running, monkeypatch):
    """The services, well and without a message, where this process finds them."""
    for name, value in running.variables.items():
        monkeypatch.setenv(name, value)
    running.mood.clear()
    running.released.clear()
    running.strangers.clear()
    running.asked.clear()
    for taken in running.taken.values():
        taken.clear()
    yield running
    running.released.set()


def written(text=LINES, severity=Severity.CRITICAL, kind=MessageKind.ALERT, title="◆ box: a GPU is lost"):
    details = MailDetails(host="box", severity=severity, rules=("gpu_lost",), incidents=(7,))
    return Message(title, text, START, "<0123.gpuwatch-tray@box>", kind, details)


def send(service, message=None, **changes):
    chat = parse_line(f"mine {ADDRESSES[service]}")
    return create_chat(chat).send(message or written(**changes))


def refused(service):
    """Send, and return why it was not taken."""
    with pytest.raises(TransportError) as caught:
        send(service)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value.__cause__) + repr(caught.value.__context__)
    return caught.value


@pytest.mark.parametrize("service", ADDRESSES)
def test_a_message_is_taken_once(chats, service):
    """The title and the first alerts arrive, within the service's limit; the rest is counted."""
    receipt = send(service)
    assert receipt.answer.startswith("HTTP 20")
    (text,) = chats.texts(service)
    assert "box: a GPU is lost" in text
    assert "GPU 0 was lost" in text
    assert ("and " in text and " more" in text) is (service != "webhook")  # which has no limit
    assert CANARY not in receipt.transport
    assert chats.strangers == []


@pytest.mark.parametrize("service", ADDRESSES)
def test_a_wrong_token_is_a_refusal(chats, service):
    """Of whatever status: it calls for a person, and names the command that tries again."""
    chats.mood[service] = "refused"
    error = refused(service)
    assert error.kind is CONFIGURATION
    assert "does not take it" in error.text
    assert error.mend == "`gpuwatch-tray chat test mine`"
    assert chats.taken[service] == []


@pytest.mark.parametrize("service", [name for name in ADDRESSES if name != "matrix"])
def test_too_many_messages_wait_as_long_as_the_service_asks(chats, service):
    """By Retry-After, or where the service's JSON has it; WeChat Work says only that it was too much."""
    chats.mood[service] = "busy"
    error = refused(service)
    assert (error.kind, error.wait) == (QUOTA, None if service == "wecom" else float(RETRY_AFTER))


@pytest.mark.parametrize("service", ADDRESSES)
@pytest.mark.parametrize("mood", ["broken", "drop"])
def test_a_service_that_is_down_is_tried_again(chats, service, mood):
    """503, or no answer at all: not the person's business."""
    chats.mood[service] = mood
    assert refused(service).kind is TRANSIENT


@pytest.mark.parametrize("service", ADDRESSES)
def test_a_redirect_is_not_followed(chats, service):
    """Nothing reaches where it points, the address's token least of all."""
    chats.mood[service] = "redirect"
    error = refused(service)
    assert error.kind is CONFIGURATION
    assert "points elsewhere" in error.text
    assert chats.strangers == []


def test_a_redirect_that_the_address_asks_for_is_not_followed_either(chats):
    """Apprise's own `redirect=yes` is no way around it."""
    chats.mood["ntfy"] = "redirect"
    chat = parse_line(f"mine {ADDRESSES['ntfy']}&redirect=yes")
    with pytest.raises(TransportError, match="points elsewhere"):
        create_chat(chat).send(written())
    assert chats.strangers == []


@pytest.mark.parametrize("service", ["ntfy", "webhook"])
def test_a_service_that_never_ends_its_answer_is_left_alone(chats, service, monkeypatch):
    """Each byte comes within the library's time-out; the deadline ends it all the same."""
    monkeypatch.setattr(sender, "DEADLINE", 0.5)
    chats.mood[service] = "drip" if service == "ntfy" else "hang"
    error = refused(service)
    assert (error.kind, error.for_all) == (TRANSIENT, True)
    assert "no answer within 0.5 s" in error.text


def test_a_certificate_of_nobody_known_is_refused(chats, monkeypatch):
    """TLS is checked; the message does not leave."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    error = refused("slack")
    assert error.kind is CONFIGURATION
    assert "certificate" in error.text
    assert chats.asked == []


def test_plain_http_stays_on_this_computer(chats):
    """To another one it goes only where the line says so; a loopback server needs no word."""
    chat = parse_line(f"mine ntfy://127.0.0.1:{chats.port}/gpus")
    create_chat(chat).send(written())
    assert len(chats.taken["ntfy"]) == 1
    away = parse_line("mine ntfy://push.example.org/gpus plain")
    with pytest.raises(TransportError) as caught:
        create_chat(type(away)(away.route, away.service, away.place, away.url)).send(written())
    assert "unencrypted" in str(caught.value)


def test_what_is_for_this_computer_goes_by_no_proxy(chats, monkeypatch):
    """A proxy for plain http would get it unencrypted, token and all."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    create_chat(parse_line(f"mine ntfy://127.0.0.1:{chats.port}/gpus")).send(written())
    assert len(chats.taken["ntfy"]) == 1


@pytest.mark.parametrize("secret", ["whsec_+/+/ab+/", "whsec_%2B%2F%2B%2Fab%2B%2F"])
def test_a_secret_in_base64_signs_as_its_bytes(secret, monkeypatch):
    """With a plus in it too, written as it is or encoded; the rest of the address stays as it stands."""
    posted = []
    monkeypatch.setattr(wire, "post", lambda *words: posted.extend(words))
    post_webhook(f"webhook://h.example.org/in?a=1&secret={secret}&b=%20", written(), START)
    url, body, head = posted
    signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
    made = hmac.new(base64.b64decode("+/+/ab+/"), signed, "sha256").digest()
    assert head["webhook-signature"] == "v1," + base64.b64encode(made).decode()
    assert url == "https://h.example.org/in?a=1&b=%20"


def test_a_secret_that_is_no_base64_is_refused(chats):
    """Signed by anything else no receiver would take it."""
    with pytest.raises(TransportError) as caught:
        create_chat(parse_line(f"mine webhook+http://127.0.0.1:{chats.port}/in?secret=whsec_{CANARY}!")).send(
            written()
        )
    assert caught.value.kind is CONFIGURATION
    assert CANARY not in str(caught.value)
    assert chats.asked == []


def test_what_apprise_takes_for_another_service_is_not_loaded(chats):
    """An address that it cannot read is told without a part of it."""
    chat = parse_line(f"mine slack://{CANARY}")
    with pytest.raises(TransportError) as caught:
        create_chat(chat).send(written())
    assert str(caught.value).startswith("this is no address of Slack")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("severity", "priority"), [(Severity.CRITICAL, 5), (Severity.WARNING, 4), (Severity.INFO, 3)]
)
def test_the_severity_is_the_priority(chats, severity, priority):
    """By it ntfy rings for what is critical."""
    send("ntfy", severity=severity)
    (request,) = chats.taken["ntfy"]
    sent = request.headers.get("x-priority") or request.json.get("priority") or "default"
    assert {"max": 5, "high": 4, "default": 3}.get(sent, sent) in {priority, str(priority)}


def test_a_priority_in_the_address_stands(chats):
    """The person's word goes before ours."""
    chat = parse_line(f"mine {ADDRESSES['ntfy']}&priority=low")
    create_chat(chat).send(written())
    (request,) = chats.taken["ntfy"]
    assert (request.headers.get("x-priority") or request.json.get("priority")) in {"low", 2, "2"}


def test_markup_in_a_text_is_text(chats):
    """A process may have any name: it makes no link, no mention and no bold."""
    name = "<b>train</b> <!channel> @everyone & more"
    for service in ADDRESSES:
        send(service, text=name)
    assert chats.taken["webhook"][0].json["text"] == name  # for a program
    for service in ADDRESSES.keys() - {"webhook"}:
        (text,) = chats.texts(service)
        assert "<b>train" not in text
        assert "<!channel>" not in text
        assert "@everyone" not in text
        assert "train" in text


@pytest.mark.parametrize(
    "call",
    ["@everyone", "a@here", "@room", "@**all**", "@_**everyone**", "@alice", "[log](http://x.org)", "[a][b]"],
)
def test_no_name_of_a_program_calls_or_misleads_anybody(call):
    """Discord, Matrix, Zulip and Mattermost have these; an address of mail stays as it is."""
    assert call not in sender.harmless(f"train {call}")
    assert sender.harmless("alice@box: list[0] (3)") == "alice@box: list[0] (3)"


def test_what_is_made_harmless_still_fits(chats):
    """WeChat Work counts bytes, and takes 2048."""
    send("wecom", text="\n".join(["<@><@>" * 40] * 20))
    (text,) = chats.texts("wecom")
    assert len(text.encode()) <= 2048


def test_one_that_was_left_alone_does_not_answer_for_another(chats, monkeypatch):
    """The request of a thread that goes on after its deadline counts for its own message only."""
    first, second = threading.Event(), threading.Event()
    seen = []

    def left_alone():
        with wire.watched():
            first.set()
            second.wait(60)
            wire.post(f"http://127.0.0.1:{chats.port}/gpus", b"late", {})

    thread = threading.Thread(target=left_alone)
    thread.start()
    first.wait(60)
    with wire.watched() as mine:
        second.set()
        thread.join(60)
        wire.post("http://push.example.org/gpus", b"", {})
        seen += mine.statuses
    assert seen == []
    assert "unencrypted" in str(mine.failure("ntfy", ""))


def test_a_request_that_is_not_watched_does_not_leave(chats):
    """A service's own thread cannot send where nobody checks it."""
    asked = len(chats.asked)
    with wire.watched():
        thread = threading.Thread(target=wire.post, args=(f"http://127.0.0.1:{chats.port}/gpus", b"", {}))
        thread.start()
        thread.join(60)
    assert len(chats.asked) == asked


def test_an_address_for_several_is_refused(chats):
    """Where one of them fails, the others would get the message at each try."""
    with pytest.raises(TransportError) as caught:
        create_chat(parse_line(f"mine ntfy://127.0.0.1:{chats.port}/one/two")).send(written())
    assert "several receivers" in str(caught.value)
    assert chats.asked == []


@pytest.mark.parametrize("address", [f"webhook://{CANARY}..org/x", f"ntfys://{CANARY}..org/x"])
def test_a_server_whose_name_is_none(address, monkeypatch):
    """It is a refusal in words, without the address."""
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(TransportError) as caught:
        create_chat(parse_line(f"mine {address}")).send(written())
    assert CANARY not in str(caught.value)
    assert caught.value.kind in {CONFIGURATION, TRANSIENT}


def test_a_fault_in_apprise_is_told_without_its_text(chats, monkeypatch):
    """Its text may hold the address."""

    def broken(*_args, **_more):
        raise ValueError(CANARY)

    monkeypatch.setattr("apprise.plugins.ntfy.NotifyNtfy.send", broken)
    error = refused("ntfy")
    assert error.kind is CONFIGURATION
    assert "ValueError" in error.text


def test_a_webhook_is_signed_and_keeps_its_number(chats):
    """Sent twice, as after a crash, the receiver can tell by `webhook-id`; the secret stays here."""
    message = written()
    send("webhook", message)
    send("webhook", message)
    first, second = chats.taken["webhook"]
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "0123.gpuwatch-tray"
    assert abs(int(first.headers["webhook-timestamp"]) - time.time()) < 3600
    assert TOKENS["webhook"] not in first.path + str(first.headers) + first.body.decode()
    told = first.json
    assert (told["version"], told["kind"], told["severity"]) == (1, "alert", "critical")
    assert (told["host"], told["rules"], told["alerts"]) == ("box", ["gpu_lost"], [7])
    assert NTFY not in first.path
