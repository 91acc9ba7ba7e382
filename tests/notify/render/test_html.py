"""The mail's HTML: what it says, what it may hold, and that no stranger's text becomes part of it."""

from __future__ import annotations

import time
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray import i18n
from gpuwatch_tray.notify import render
from gpuwatch_tray.notify.render import without_picture
from tests.support import mail_parts
from tests.support.fakes import START, process

TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "table",
    "tr",
    "td",
    "div",
    "span",
    "b",
    "br",
    "img",
}


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    """Set the time zone, as times are printed as local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Reader(HTMLParser):
    """Collects tags, attributes, comments and text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.comments, self.pieces = [], [], [], []
        self.feed(html)
        self.close()
        self.text = "\n".join(self.pieces)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_comment(self, data):
        self.comments.append(data)

    def handle_data(self, data):
        self.pieces.append(data)


def sound(html):
    """Check that it has our tags and attributes only, nothing from elsewhere, nothing invisible."""
    read = Reader(html)
    assert set(read.tags) <= TAGS
    names = {name for name, _ in read.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert {value for name, value in read.attributes if name in {"src", "href"}} <= {f"cid:{render.CHART}"}
    assert set(read.comments) <= {"picture", "/picture"}
    assert "http" not in html.lower().replace("http-equiv", "")
    assert "url(" not in html
    unseen = [c for c in read.text if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and c != "\n"]
    assert unseen == []
    html.encode("utf-8")
    return read


@pytest.mark.parametrize("state", mail_parts.states())
def test_each_state_is_a_shape_and_a_word_first_of_all(state):
    """The first words of the body, which lists of mails show, say how things stand."""
    words = {
        "firing": "◆ critical · firing",
        "reminder": "▲ warning · still firing",
        "resolved": "✔ resolved",
        "digest": "◆ digest · critical",
        "notice": "▲ you asked to be notified",
        "test": "○ test: nothing is firing",
    }
    read = sound(mail_parts.states()[state].details.html)
    body = " ".join(" ".join(read.pieces[2:]).split())  # behind title and style
    assert body.startswith(words[state])
    assert "ada@lab1 · 2026-01-07 15:27:48" in body


def test_it_tells_the_reasons_and_the_processes():
    """As the text does: one's own redacted, of others the program's name."""
    read = Reader(mail_parts.firing().details.html)
    assert "GPU 0 (NVIDIA RTX A6000): 93 °C, and it slows itself down at 96 °C" in read.text
    assert "◆ critical, for 7 min" in read.text
    assert "python train.py --token *** --lr=3e-4" in read.text
    assert "theirs.py" not in read.text
    assert "/home/bob" not in read.text


def test_many_rows_are_counted():
    """It stays short; the text has them all."""
    crowd = [process(pid, 0) for pid in range(500)]
    made = render.alert_mail(mail_parts.HEAD, [mail_parts.COUNT], crowd, (), now=START, message_id="<1@x>")
    assert "… and 480 more: see the plain-text part" in made.details.html
    assert made.text.count("PID=") == 500
    assert len(made.details.html) < 30_000
    mails = [made] * 1000
    digest = render.digest(mail_parts.HEAD, mails, now=START, message_id="<2@x>")
    assert "… and 940 more" in digest.details.html
    assert len(digest.details.html) < 90_000  # Gmail cuts at 102 kB


def test_without_a_picture_its_place_is_gone():
    """No broken image."""
    html = mail_parts.firing().details.html
    assert html.count("<img") == 1
    assert "<img" not in without_picture(html)
    assert "GPU processes" in without_picture(html)


def test_it_speaks_the_persons_language_and_the_text_does_not():
    """The catalogue is asked for the HTML; the Bash tool's text is the same in every language."""
    english = mail_parts.firing()
    i18n.set_language(i18n.CHINESE)
    try:
        chinese = mail_parts.firing()
    finally:
        i18n.set_language(i18n.ENGLISH)
    assert chinese.text == english.text
    assert chinese.subject == english.subject
    assert '<html lang="zh-CN">' in chinese.details.html
    band = Reader(chinese.details.html).text.partition("ada@lab1")[0]
    assert not [word for word in ("critical", "firing", "GPU is") if word in band]


@pytest.mark.parametrize("text", mail_parts.HOSTILE)
def test_a_strangers_text_stays_text(text):
    """Names that are markup, reverse the reading order, are bytes that are no UTF-8, or have no end."""
    made = mail_parts.hostile(text)
    read = sound(made.details.html)
    assert made.details.html.count("<!--picture-->") == 1
    assert mail_parts.CANARY not in read.text
    assert mail_parts.CANARY not in made.text
    assert len(made.details.html) < 20_000
    shown = without_picture(made.details.html)
    assert sound(shown).tags.count("style") == 1


# What breaks out of text, put together anew each time.
PIECES = st.sampled_from(
    ["<", ">", '"', "'", "&", "<!--", "-->", "</style>", "<script>", "\u202e", "\u200f", "\0", "\x1b[2J",
     "\r\n", "\ud800", "\u2028", "cid:", "javascript:", "ü", "训", "&#60;"]
)  # fmt: skip
HOSTILE = st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=30).map("".join)


@given(HOSTILE)
def test_any_text_stays_text(text):
    """Whatever a process is called: nothing of it is markup, and nothing in it moves what is read."""
    sound(mail_parts.hostile(text.replace("http", "")).details.html)


SECRETS = st.sampled_from(
    ["--token={}", "--password {}", "HF_TOKEN={}", "Bearer {}", "https://u:{}@h.example"]
)


@given(st.lists(st.one_of(SECRETS, HOSTILE), min_size=1, max_size=6))
def test_no_secret_gets_into_a_mail(words):
    """A canary among any arguments, one's own or anybody else's: neither part has it, nor has a digest."""
    arguments = [part for word in words for part in word.replace("{}", mail_parts.CANARY).split(" ")]
    mine = process(1, 0, command=("python", *arguments))
    theirs = process(2, 1, mine=False, command=("python", *arguments, mail_parts.CANARY))
    made = render.alert_mail(
        mail_parts.HEAD, [mail_parts.HOT], (mine, theirs), (), now=START, message_id="<1@x>"
    )
    late = render.digest(mail_parts.HEAD, [made, made], now=START, message_id="<2@x>", late=True)
    for mail in (made, late):
        assert mail_parts.CANARY not in mail.subject + mail.text + mail.details.html
