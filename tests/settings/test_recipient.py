"""Who gets the mail, and what is said where nobody does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.settings.checkout import NOTIFY, SMTP, SMTP_TEXT, WATCH

ADD = 'TO_EMAIL="name@host"'
EXAMPLE = "TO_EMAIL is still the example address; replace it with yours"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "\n" * 9 + 'TO_EMAIL="you@example.com"\n',
            f":10: {EXAMPLE}",
        ),
        ("TO_EMAIL='you@example.com, '\n", f":1: {EXAMPLE}"),
        ("TO_EMAIL=$NOBODY\n", ":1: TO_EMAIL is empty"),
        ("TO_EMAIL=' , '\n", ":1: TO_EMAIL is empty"),
        ("TO_EMAIL=you@example.com\nTO_EMAIL=\n", ":2: TO_EMAIL is empty"),
        ("TO_EMAIL=\nTO_EMAIL=you@example.com\n", f":2: {EXAMPLE}"),
        ("GPU_LIMIT=1\n", f": TO_EMAIL is not set; add {ADD}"),
        ("", f": TO_EMAIL is not set; add {ADD}"),
        ("TO_EMAIL=a@b.org\n", None),
        ("TO_EMAIL=a@b.org,you@example.com\n", None),
    ],
)
def test_why_there_is_no_recipient(house, text, said):
    """One line names the place and the mend; it is empty where there is a recipient."""
    house.write(WATCH, text)
    settings = house.settings()
    assert settings.no_recipient == ("" if said is None else f"config/gpu-watch.env{said}")
    assert bool(settings.to_email) is (said is None)


def test_without_a_file_the_command_that_asks_is_named(house):
    """With the place to which it writes the answer."""
    place = f"TO_EMAIL in {house.user / WATCH}"
    assert house.settings().no_recipient == (
        f"no mail address is set ({place}): `gpuwatch-tray setup mail` asks for it"
    )


def test_another_file_may_name_the_recipient(house):
    """The place named is where the last assignment stands."""
    house.write(NOTIFY, "\nTO_EMAIL=you@example.com\n")
    assert house.settings().no_recipient.startswith("config/notify.env:2: TO_EMAIL is still")


@pytest.mark.parametrize("text", ["TO_EMAIL=a@b@c\n", "TO_EMAIL=$(id)\n", "a\rb"])
def test_a_recipient_that_is_wrong_is_said_as_the_problem_is(house, text):
    """No second reason beside the problem."""
    house.write(WATCH, text)
    settings, problems = house.load()
    assert [settings.no_recipient] == problems


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"TO_EMAIL=a\rGPU_LIMIT=2\r", 1), (b"# x\r\nGPU_LIMIT=3\r\n# a\rb\n", 3), (b"GPU_LIMIT=3\r\r\n", 1)],
)
def test_a_carriage_return_that_ends_no_line_is_a_problem(house, content, line):
    """Two lines would pass for one: nothing of the file is believed."""
    house.write(WATCH, content)
    settings, (problem,) = house.load()
    assert problem == (
        f"config/gpu-watch.env:{line}: a carriage return within a line: save the file with LF or CRLF"
        " line ends"
    )
    assert (settings.to_email, settings.limits.gpu_limit) == ((), 2)


WARNING = "FROM_EMAIL is not set and SMTP_USER is not an address: many servers refuse such mail"


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ("", True),
        ("FROM_EMAIL=you@example.com", True),
        ("FROM_EMAIL=a@b.org", False),
        ("SMTP_USER=a@b.org", False),
        ("NOTIFY_METHOD=gmail_api GMAIL_API_CREDENTIALS=/c GMAIL_API_TOKEN=/t", False),
    ],
)
def test_a_sender_that_is_no_address_is_warned_of(house, more, warned):
    """The account stands in for the sender, which servers refuse where it is no address."""
    house.write(SMTP, f"{SMTP_TEXT}{more}\n")
    assert house.settings().warnings == ((WARNING,) if warned else ())


@pytest.mark.skipif(sys.platform != "linux", reason="accounts without a home")
def test_an_account_without_a_home_is_told_so():
    """The system refuses to name its folders; GPUWATCH_CACHE names one all the same."""
    code = (
        "import os, pwd\n"
        "from gpuwatch_tray.settings import load\n"
        "for name in ('HOME', 'XDG_CONFIG_HOME', 'XDG_STATE_HOME'): os.environ.pop(name, None)\n"
        "def refuse(_uid): raise KeyError('getpwuid(): uid not found')\n"
        "pwd.getpwuid = refuse\n"
        "none = {f'GPUWATCH_{name}CONFIG': os.devnull for name in ('', 'NOTIFY_', 'SMTP_')}\n"
        "print(*load(none)[1])\n"
        "settings, problems = load({**none, 'GPUWATCH_CACHE': '/x'})\n"
        "print(settings.state, *problems)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "GPUWATCH_CACHE: not set, and this account has no home folder: set it to a folder for the state",
        "/x",
    ]


@pytest.mark.parametrize(
    ("text", "questioned"),
    [
        ("a@lab.test", []),
        ("root", []),
        ("a@lab,test", ["a@lab", "test"]),
        ("a@lab.test nobody-by-that-name", ["nobody-by-that-name"]),
        ("a@localhost", []),
        ("a@[", []),
    ],
)
def test_a_recipient_that_is_hardly_meant_is_questioned(house, text, questioned):
    """A name that is no user here, or a domain without a dot: a warning each, and the mail goes there."""
    house.write(WATCH, f"GPU_LIMIT=1\nTO_EMAIL='{text}'\n")
    settings, problems = house.load()
    warned = [line.split(": ")[:3] for line in settings.warnings]
    assert warned == [["config/gpu-watch.env:2", "TO_EMAIL", name] for name in questioned]
    assert problems or settings.to_email
