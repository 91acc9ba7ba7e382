"""Each key's values: what is taken, what is refused and with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuwatch_tray.model import Limits, ProcessScope
from gpuwatch_tray.model.schema import SETTINGS
from gpuwatch_tray.settings import NotifyMethod, Secret, SmtpSettings
from tests.settings.checkout import DESKTOP_PROGRAMS, NOTIFY, SMTP, SMTP_TEXT, WATCH

GMAIL = "GMAIL_API_CREDENTIALS=/c.json GMAIL_API_TOKEN=/t.json\n"


def test_without_any_file_the_defaults_hold(house):
    """Nothing set is no problem: the Bash tool's defaults, no mail, the desktop's programs ignored."""
    settings = house.settings()
    assert settings.limits == Limits(2, 360 * 60, ProcessScope.MINE, DESKTOP_PROGRAMS)
    assert (settings.routing.cooldown, settings.poll, settings.notify_method) == (
        3600,
        5.0,
        NotifyMethod.AUTO,
    )
    assert (settings.to_email, settings.from_email, settings.smtp) == ((), "", None)
    assert (settings.gmail_credentials, settings.gmail_token) == (None, None)
    assert (settings.mygpu, settings.warnings) == ("", ())


def test_every_key_is_read(house):
    """Each key of the three files comes out at its place, in base units."""
    house.write(
        WATCH,
        "TO_EMAIL=a@example.org\nGPU_LIMIT=0\nMAX_ETIME_MIN=90\nCOOLDOWN_MIN=15\nPOLL_SEC=0.5\n"
        "PROCESS_SCOPE=all\nIGNORE_PROCESSES='Blender Xorg'\n",
    )
    house.write(NOTIFY, "NOTIFY_METHOD=smtp\nFROM_EMAIL=b@example.org\n" + GMAIL)
    house.write(SMTP, SMTP_TEXT + "SMTP_PORT=465\nSMTP_CA_FILE=/ca.pem\nFROM_EMAIL=c@example.org\n")
    settings = house.settings(MYGPU="/opt/mygpu.sh")
    assert settings.to_email == ("a@example.org",)
    assert settings.limits == Limits(0, 90 * 60, ProcessScope.ALL, frozenset({"blender", "xorg"}), 0.5)
    assert (settings.routing.cooldown, settings.poll) == (900, 0.5)
    assert (settings.notify_method, settings.from_email) == (NotifyMethod.SMTP, "b@example.org")
    assert (settings.gmail_credentials, settings.gmail_token) == (Path("/c.json"), Path("/t.json"))
    assert settings.smtp == SmtpSettings(
        "mail.example.org", 465, "labuser", Secret("abcdefgh"), "c@example.org", Path("/ca.pem")
    )
    assert settings.mygpu == "/opt/mygpu.sh"


@pytest.mark.parametrize("key", sorted(SETTINGS))
@pytest.mark.parametrize("value", ["", "''", "' '", "$NOWHERE"])
def test_an_empty_value_means_the_default(house, key, value):
    """A key without a value is as if it were not there, also after one that had a value."""
    default = house.meaning()
    house.write(WATCH, f"{key}={value}\n")
    settings = house.meaning()
    assert settings == default or settings.warnings


def test_of_a_key_given_twice_the_last_wins(house):
    """In one file as over the three, read in the order gpu-watch, notify, smtp."""
    house.write(WATCH, "GPU_LIMIT=3\nGPU_LIMIT=4\nMAX_ETIME_MIN=1\nPOLL_SEC=7\nPOLL_SEC=\n")
    house.write(SMTP, "MAX_ETIME_MIN=3\n")
    house.write(NOTIFY, "MAX_ETIME_MIN=2\n")
    settings = house.settings()
    assert (settings.limits.gpu_limit, settings.limits.max_etime, settings.poll) == (4, 180, 5.0)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("a@b.org", ("a@b.org",)),
        ("a@b.org,c@d.org;e@f.org g@h.org", ("a@b.org", "c@d.org", "e@f.org", "g@h.org")),
        (" a@b.org ,\n\tc@d.org, ", ("a@b.org", "c@d.org")),
        ("a@b.org, a@b.org", ("a@b.org",)),
        ("root", ("root",)),  # the local mail program knows its accounts
        ("o'neil+gpu@b.org j\u00f6rg@b\u00fccher.org", ("o'neil+gpu@b.org", "j\u00f6rg@b\u00fccher.org")),
        ("you@example.com", ()),
        ("you@example.com, a@b.org", ("a@b.org",)),
        (",", ()),
    ],
)
def test_to_email_lists_several(house, text, addresses):
    """Addresses separated by commas, semicolons or blanks, each once; the example's is none."""
    house.write(WATCH, f'TO_EMAIL="{text}"\n')
    assert house.settings().to_email == addresses


# The key, a value that is wrong, a part of what is said.
WRONG = (
    ("TO_EMAIL", "me.example.org", "expected an email address like name@example.org, got 'me.example.org'"),
    ("TO_EMAIL", "a@b.org, Me <c@d.org>", "got '<c@d.org>'"),
    ("TO_EMAIL", "GPU_LIMIT=2", "expected an email address"),
    ("TO_EMAIL", "a@b.org\vc@d.org", "control character"),
    ("TO_EMAIL", "a@b.org\u00a0c@d.org", "expected an email address"),
    ("TO_EMAIL", "a@b@c", "expected an email address"),
    ("TO_EMAIL", "@b.org", "expected an email address"),
    ("TO_EMAIL", "a@", "expected an email address"),
    ("TO_EMAIL", "-oQ/tmp@b.org", "expected an email address"),
    ("TO_EMAIL", "a@b.org\x07", "control character"),
    ("TO_EMAIL", "\u201ca@b.org\u201d", "plain quotes"),
    ("FROM_EMAIL", "a@b.org, c@d.org", "expected an email address"),
    ("FROM_EMAIL", "a@b.org\nBcc: all@b.org", "control character"),
    ("GPU_LIMIT", "two", "expected a whole number >= 0, got 'two'"),
    ("GPU_LIMIT", "-1", "expected a whole number >= 0, got '-1'"),
    ("GPU_LIMIT", "2.5", "expected a whole number"),
    ("GPU_LIMIT", "\u0662", "expected a whole number"),
    ("GPU_LIMIT", "010", "got '010': Bash takes a leading zero as octal, write 10"),
    ("GPU_LIMIT", "00", "write 0"),
    ("MAX_ETIME_MIN", "9" * 10, "expected a whole number up to 999999999, got '9999999999'"),
    ("MAX_ETIME_MIN", "9" * 5000, "expected a whole number up to 999999999, got '"),
    ("COOLDOWN_MIN", "1h", "expected a whole number"),
    ("POLL_SEC", "0,5", "use a point for decimals"),
    ("POLL_SEC", "0.1", "expected seconds from 0.2 to 3600"),
    ("POLL_SEC", "3600.5", "expected seconds from 0.2 to 3600"),
    ("POLL_SEC", "nan", "expected seconds"),
    ("POLL_SEC", "1e3", "expected seconds"),
    ("PROCESS_SCOPE", "ours", "expected 'mine' or 'all', got 'ours'"),
    ("IGNORE_PROCESSES", "/usr/bin/blender", "without their folders"),
    ("IGNORE_PROCESSES", "Xorg, kwin sway", "got 'kwin sway': separate them with commas"),
    ("NOTIFY_METHOD", "gmail", "expected 'auto', 'smtp' or 'gmail_api', got 'gmail'"),
    ("GMAIL_API_TOKEN", "secret/token.json", "expected an absolute path, got 'secret/token.json'"),
    ("GMAIL_API_TOKEN", "~/token.json", "write $HOME"),
    ("SMTP_CA_FILE", "/a\nb", "expected the path of a file"),
    ("SMTP_HOST", "mail.example.org:587", "a port goes into SMTP_PORT"),
    ("SMTP_HOST", "smtps://mail.example.org", "bare name of a server"),
    ("SMTP_HOST", "a b", "bare name of a server"),
    ("SMTP_PORT", "0", "expected a port from 1 to 65535"),
    ("SMTP_PORT", "65536", "expected a port"),
    ("SMTP_PORT", "smtp", "expected a port"),
    ("SMTP_USER", "a\vb", "control character"),
    ("SMTP_PASS", "ab\x01cd", "control character"),
)


@pytest.mark.parametrize(("key", "value", "part"), WRONG)
def test_a_wrong_value_is_a_problem_with_file_line_and_key(house, key, value, part):
    """It is named with file, line and key, and the default holds."""
    house.write(WATCH, f"\n{key}='{value}'\n")
    settings, problems = house.load()
    ours = [problem for problem in problems if problem.startswith(f"config/gpu-watch.env:2: {key}: ")]
    assert len(ours) == 1
    assert part in ours[0]
    assert all(len(line) < 250 and line.isprintable() for line in problems)
    assert settings.limits == Limits(ignore=DESKTOP_PROGRAMS)
    assert (settings.routing.cooldown, settings.poll) == (3600, 5.0)
    assert (settings.to_email, settings.smtp) == ((), None)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Xorg blender", {"xorg", "blender"}),
        ("Xorg,blender, sway", {"xorg", "blender", "sway"}),
        ("NVIDIA Overlay.exe,  dwm.exe", {"nvidia overlay.exe", "dwm.exe"}),
        ("none", set()),
        (",", set()),
    ],
)
def test_ignored_programs(house, text, names):
    """Names in lower case, separated by blanks, or by commas where a name may hold a blank."""
    house.write(WATCH, f"IGNORE_PROCESSES='{text}'\n")
    assert house.settings().limits.ignore == names


@pytest.mark.parametrize(
    ("text", "host"), [("::1", "::1"), ("127.0.0.1", "127.0.0.1"), ("mail_1.b\u00fcro.", "mail_1.b\u00fcro.")]
)
def test_hosts(house, text, host):
    """A server goes by its name or by either kind of address."""
    house.write(SMTP, SMTP_TEXT + f"SMTP_HOST={text}\n")
    assert house.settings().smtp.host == host


def test_a_password_never_shows():
    """Neither repr, str nor a format of the settings holds the password."""
    smtp = SmtpSettings("h", 25, "u", Secret("canary"), "f")
    assert "canary" not in f"{smtp} {smtp!r} {smtp.password} {smtp.password!s:>10}"
    assert smtp.password.reveal() == "canary"


def test_blanks_of_a_password_are_dropped(house):
    """An app password works as Google shows it, with blanks of any kind."""
    house.write(SMTP, SMTP_TEXT + "SMTP_PASS=' ab\u00a0cd ef\t'\n")
    assert house.settings().smtp.password == Secret("abcdef")
