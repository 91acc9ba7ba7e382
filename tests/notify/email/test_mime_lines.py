"""Foreign text made fit to show."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.notify.email.mime import Scrubber, escape_controls, one_line

SECRETS = st.text(min_size=6, max_size=30).filter(lambda s: len(s.strip()) >= 6 and s.isprintable())


@given(secret=SECRETS, before=st.binary(max_size=5), after=st.binary(max_size=5))
def test_a_secret_is_found_inside_any_base64_text(secret, before, after):
    """Wherever it stands in the encoded bytes, no 8 characters of it that depend on it alone remain."""
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    start = -(-len(before) * 8 // 6)
    end = (len(before) + len(secret.encode())) * 8 // 6
    shown = Scrubber([secret])(f"535 {encoded} no", None)
    assert encoded[start:end] not in shown
    assert "***" in shown


@given(secret=SECRETS)
def test_a_secret_is_found_in_its_other_forms(secret):
    """As it is and URL-encoded in three ways."""
    for form in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret)):
        assert Scrubber([secret])(f"<{form}>", None) == "<***>"


@given(text=st.text())
def test_neutral_text_has_no_control_characters_and_can_be_encoded(text):
    """Whatever a stranger writes: lines of printable characters, fit for UTF-8."""
    shown = escape_controls(text)
    assert all(char == "\n" or char >= " " for char in shown)
    assert not {"\x1b", "\u202e", "\x7f", "\x85", "\u2028"} & set(shown)
    shown.encode()


@given(text=st.text())
def test_one_line_is_one_line(text):
    """No line break of any kind, and no longer than asked."""
    shown = one_line(text, 40)
    assert len(shown.splitlines()) <= 1
    assert len(shown) <= 40


def test_short_secrets_do_not_blank_out_words():
    """A password of three letters is left, or every answer would be stars."""
    assert Scrubber(["", "abc"])("abc is in abacus") == "abc is in abacus"
