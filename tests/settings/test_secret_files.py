"""A password is shown by no problem and no warning, however its line is written."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuwatch_tray.model.schema import SETTINGS
from tests.settings.checkout import NOTIFY, SMTP, SMTP_TEXT

CANARY = "Xq7Kanarienvogel"
TAKE_ANYTHING = {"SMTP_USER", "SMTP_PASS", "LAB_USER", "LAB_ME", "LAB_SSH", "LAB_LIST"}
_noise = st.text(" \t\n'\"$\\`#;&|<>(){}[]=~:!a\x01\u00e9", max_size=6)
_line = st.tuples(
    st.sampled_from(["SMTP_PASS", "export SMTP_PASS", "SMTP_PASS ", "SMTP_PASSWORD", "A=1 SMTP_PASS", ""]),
    st.sampled_from(["=", "= ", " =", ":", "+=", "=(", "='", '="', "=$", "=${", "=$(", "=x ", "=\n", ""]),
    st.lists(st.one_of(_noise, st.just(CANARY)), max_size=4).map("".join),
).map("".join)


@given(st.lists(_line, min_size=1, max_size=4).map("\n".join))
@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_line_shows_the_password(house, text):
    """Whatever is wrong with the line of a password, what is said of it does not hold the password."""
    house.write(SMTP, os.fsencode(text))
    loaded, problems = house.load()
    said = "\n".join([*problems, *loaded.warnings, repr(loaded)])
    assert CANARY not in said


@pytest.mark.parametrize(
    "line",
    [f"SMTP_PASS={CANARY}\x01", f"SMTP_PASS=a {CANARY}", f"SMTP_PASS=pa${CANARY}", f"SMTP_PASS = {CANARY}"],
)
def test_usual_mistakes_do_not_show_the_password(house, line):
    """The mistakes that people make are named all the same."""
    house.write(SMTP, f"SMTP_HOST=h\nSMTP_USER=u\n{line}\n")
    loaded, problems = house.load()
    said = [*problems, *loaded.warnings]
    assert any(text.startswith("config/smtp.env:3: SMTP_PASS: ") for text in said)
    assert CANARY not in "".join(said)


@pytest.mark.parametrize("key", sorted(SETTINGS.keys() - {"IGNORE_PROCESSES"}))
@pytest.mark.parametrize(
    "value",
    [
        f"smtp://u:{CANARY}@host",
        f"smtps://u:pa@{CANARY}@host:587/x",
        f"u:{CANARY}@host",
        f"smtp://{'u' * 50}:{CANARY}@host",
        f"host --password={CANARY}",
        f"password={CANARY}",
        f"smtp://u:{CANARY}\u2028@host",
    ],
)
def test_a_password_in_any_other_value_is_not_shown(house, key, value):
    """People paste the address of a server with the account in it; what is wrong with it is said without."""
    house.write(SMTP, f"{key}='{value}'\n")
    loaded, problems = house.load()
    assert CANARY not in "\n".join([*problems, *loaded.warnings, loaded.no_recipient])
    assert problems or key in TAKE_ANYTHING


def test_the_rest_of_a_wrong_server_is_shown(house):
    """Enough is left to see which line is meant."""
    house.write(SMTP, "SMTP_HOST=smtp://u:secret@host\n")
    assert "expected the bare name of a server, got 'smtp:***@host'" in "\n".join(house.load()[1])


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_password_that_others_can_read_is_warned_of(house):
    """A file with SMTP_PASS that its group or everybody can read gets one line with the mend."""
    file = house.write(SMTP, SMTP_TEXT + "FROM_EMAIL=a@b.org\n")
    for mode, warned in ((0o600, False), (0o640, True), (0o604, True), (0o620, False)):
        file.chmod(mode)
        expected = (f"config/smtp.env: others can read SMTP_PASS: chmod 600 {file}",) if warned else ()
        assert house.settings().warnings == expected


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("key", ["SMTP_PASS_FILE", "GMAIL_API_CREDENTIALS"])
def test_a_file_with_a_secret_that_others_can_read_is_warned_of(house, key, tmp_path):
    """What a key names is looked at like the settings themselves; one that is not there says nothing yet."""
    file = tmp_path / "my secret"
    house.write(SMTP, f"SMTP_HOST=h\nSMTP_USER=a@b.org\nSMTP_PASS_FILE=/nowhere\n{key}='{file}'\n")
    for mode, warned in ((None, False), (0o600, False), (0o640, True), (0o604, True)):
        if mode is not None:
            file.touch()
            file.chmod(mode)
        expected = (f"{key}: others can read {file}: chmod 600 '{file}'",) if warned else ()
        assert house.settings().warnings == expected


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_file_without_a_password_may_be_read(house):
    """There is no warning of a placeholder, nor of a file that holds other settings."""
    house.write(SMTP, "SMTP_PASS=your_pass\n").chmod(0o644)
    house.write(NOTIFY, SMTP_TEXT + "FROM_EMAIL=a@b.org\n").chmod(0o600)
    assert house.settings().warnings == ()


def test_a_variable_that_is_set_nowhere_is_warned_of(house):
    """It is empty, as in Bash, and its line is named: a typo would pass for an empty value."""
    house.write(NOTIFY, "\nGMAIL_API_TOKEN=$TOPP/t.json GMAIL_API_CREDENTIALS=/c.json\n")
    assert house.settings().warnings == (
        "config/notify.env:2: GMAIL_API_TOKEN: $TOPP is not set anywhere, so it is empty",
    )


@pytest.mark.parametrize(
    ("password", "names"),
    [
        ("“lab-password”", "typographic quotes"),
        ("'lab-password\u200b'", "invisible characters"),
        ("'\ufeff“lab-password”'", "typographic quotes and invisible characters"),
        ("'lab-pässword\"'", ""),
    ],
)
def test_a_password_pasted_from_a_text_is_questioned(house, password, names):
    """What was hardly typed is named by kind, never the password; it is used all the same."""
    house.write(SMTP, f"SMTP_HOST=h.org\nSMTP_USER=u@h.org\nSMTP_PASS={password}\n")
    settings = house.settings()
    assert "lab-p" in settings.smtp.password.reveal()
    expected = f"config/smtp.env:3: SMTP_PASS: contains {names}: type it by hand, in plain single quotes"
    assert settings.warnings == ((expected,) if names else ())
