"""The mail as it goes over the wire: its parts, its headers, its thread."""

from __future__ import annotations

import email
import email.policy
import re

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import MailDetails, Message
from gpuwatch_tray.notify.email import mime
from gpuwatch_tray.notify.render import CHART
from tests.support import mail_parts

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def wire(message):
    """Return the bytes that are sent."""
    raw = mime.build_mail(message, sender="gpu@example.org", recipients=("ada@example.org",))
    assert max(map(len, raw.split(b"\r\n"))) <= 998  # RFC 5321, 4.5.3.1.6
    return raw


def sent(message):
    """Return the mail as a mail program parses it."""
    return email.message_from_bytes(wire(message), policy=email.policy.default)


@pytest.mark.parametrize("state", mail_parts.states())
def test_the_text_comes_first_and_is_the_bash_tools(state):
    """Two forms of the same, the plain one first, so that a mail program without HTML shows it."""
    message = mail_parts.states()[state]
    mail = sent(message)
    assert mail.get_content_type() == "multipart/alternative"
    text, html = mail.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    assert text.get_content().replace("\r\n", "\n") == message.text
    assert "<html" in html.get_content()
    assert "<img" not in html.get_content()
    assert mail["X-GPUWatch-State"] == state


def test_on_the_wire_it_is_ascii(message):
    """Text, HTML and picture: also a server without 8BITMIME takes it, and the text comes back."""
    made = replace(message, details=mail_parts.firing().details, picture=PNG)
    assert not made.text.isascii()
    assert wire(made).isascii()
    text = sent(made).get_body(("plain",)).get_content()
    assert text.replace("\r\n", "\n") == made.text


def test_a_picture_is_in_the_html_part_and_nowhere_else():
    """Inline by its Content-ID: no attachment to open, nothing to fetch."""
    mail = sent(replace(mail_parts.firing(), picture=PNG))
    _, related = mail.iter_parts()
    assert related.get_content_type() == "multipart/related"
    html, picture = related.iter_parts()
    assert f'src="cid:{CHART}"' in html.get_content()
    assert (picture.get_content_type(), picture["Content-ID"]) == ("image/png", f"<{CHART}>")
    assert picture.get_content_disposition() == "inline"
    assert picture.get_content() == PNG
    assert list(mail.iter_attachments()) == []


def test_a_mail_without_details_is_as_before():
    """One that an older version queued: text alone, and no header that would say nothing."""
    mail = sent(Message("subject", "text\n", 1767824868.0, "<1@box>"))
    assert mail.get_content_type() == "text/plain"
    assert not [name for name in mail if name.startswith(("X-", "List-", "Ref"))]


def test_the_headers_tell_programs_what_it_is():
    """A filter can go by host, state, rule and incident; no vacation notice answers."""
    mail = sent(mail_parts.firing())
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Id"] == "<gpuwatch-tray.lab1.localhost>"
    assert mail["X-GPUWatch-Host"] == "lab1"
    assert mail["X-GPUWatch-Rule"] == "temperature_critical gpu_limit"
    assert mail["X-GPUWatch-Incident"] == "7 8"
    assert mail["Message-ID"] == mail_parts.ID
    assert mail["References"] is None


def test_later_mails_of_an_incident_answer_the_first():
    """However long the names are: an encoded Message-ID would belong to no thread."""
    roots = tuple(f"<{number}.gpuwatch-tray@{'h' * 63}>" for number in range(9))
    late = replace(mail_parts.firing(), details=MailDetails(host="h" * 63, replies_to=roots))
    mail = sent(late)
    assert mail["In-Reply-To"] == roots[0]
    assert mail["References"].split() == list(roots)
    assert b"=?utf-8" not in wire(late).partition(b"\r\n\r\n")[0]


def test_a_mail_about_two_incidents_is_in_both_threads():
    """The oldest is the one that it answers."""
    first = replace(mail_parts.HOT, thread=("<a@lab1>", 200.0))
    second = replace(mail_parts.COUNT, thread=("<b@lab1>", 100.0))
    mail = sent(mail_parts.firing(first, second, mail_parts.alert(id=9)))
    assert mail["In-Reply-To"] == "<b@lab1>"
    assert mail["References"].split() == ["<b@lab1>", "<a@lab1>"]


def test_a_mail_about_very_many_incidents_has_a_head_of_bounded_length():
    """The oldest thread and the newest ones."""
    alerts = [
        replace(mail_parts.COUNT, id=number, thread=(f"<{number}@lab1>", float(number)))
        for number in range(500)
    ]
    mail = sent(mail_parts.firing(*alerts))
    assert mail["References"].split() == ["<0@lab1>", *(f"<{number}@lab1>" for number in range(481, 500))]
    assert len(mail["X-GPUWatch-Incident"]) <= 200


def test_the_subject_of_the_first_mail_for_all_where_it_is_asked_for():
    """MAIL_THREADING: firing, reminder and resolved have one subject; the first line says the state."""
    from gpuwatch_tray.notify import render
    from tests.support.fakes import START

    head = replace(mail_parts.HEAD, threading=True)
    one = mail_parts.threaded(mail_parts.COUNT)
    more = {"now": START, "message_id": mail_parts.ID}
    first = render.alert_mail(head, [mail_parts.COUNT], (), (), now=START - 3600, message_id="<root@lab1>")
    again = render.alert_mail(head, [one], (), (), is_repeat=True, **more)
    over = render.resolved_mail(head, [one], **more)
    assert {mail.subject for mail in (first, again, over)} == {first.subject}
    states = [mail.text.partition("\n")[0] for mail in (first, again, over)]
    assert states == ["State: firing", "State: reminder", "State: resolved"]
    plain = render.resolved_mail(mail_parts.HEAD, [one], **more)
    assert plain.subject.startswith("[GPU Watchdog] resolved: ada@lab1  ")
    assert plain.text.startswith("Time: ")


@pytest.mark.parametrize("text", mail_parts.HOSTILE)
def test_no_header_can_be_made_by_a_stranger(text):
    """Subject, ids, host and rules are one line each, whatever is in them."""
    made = mail_parts.hostile(text)
    details = replace(
        made.details, host=text, rules=(text,), replies_to=(f"<{text}>",), html=made.details.html
    )
    mail = sent(replace(made, subject=f"[GPU Watchdog] {text}", message_id=f"<{text}@x>", details=details))
    assert mail["Bcc"] is None
    names = [name.lower() for name in mail]
    assert len(names) == len(set(names))
    assert set(names) <= {
        "from", "to", "subject", "date", "message-id", "auto-submitted", "in-reply-to", "references",
        "list-id", "x-gpuwatch-host", "x-gpuwatch-state", "x-gpuwatch-incident", "x-gpuwatch-rule",
        "mime-version", "content-type",
    }  # fmt: skip


@pytest.mark.parametrize(
    "host", ["实验室", "", "x@y", "<a b>", ".lab.", "a\r\nBcc: e@example.org", "\u202elab"]
)
def test_a_message_id_is_one_whatever_the_host_is_called(message, host):
    """Servers refuse `<...@>` and the like; the answers to it name the same one."""
    name = f"<0f5144c4.gpuwatch-tray@{host}>"
    made = replace(message, message_id=name, details=MailDetails(host=host, replies_to=(name,)))
    mail = sent(made)
    assert re.fullmatch(r"<[\w-]+(\.[\w-]+)*@[\w-]+(\.[\w-]+)*>", str(mail["Message-ID"]), re.ASCII)
    assert str(mail["References"]) == str(mail["Message-ID"])
