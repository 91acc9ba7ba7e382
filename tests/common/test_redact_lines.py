"""Redaction over a table of command lines with and without secrets, and its time over hostile texts."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path

import pytest

from gpuwatch_tray.common import redact, secret_names, secret_programs, secret_shapes
from gpuwatch_tray.common.late_pattern import LatePattern

DATA = Path(__file__).parent / "data"
CANARIES = ("Xq7canaryZk93", "hunter2canary")


def table(name):
    """Read the lines of a table as (rule, arguments); a line goes on while its quotes are open."""
    found = []
    for section in (DATA / name).read_text(encoding="utf-8").split("\n## ")[1:]:
        rule, *lines = section.split("\n")
        pending = ""
        for line in lines:
            pending = f"{pending}\n{line}" if pending else line
            try:
                words = shlex.split(pending)
            except ValueError:
                continue
            found += [(rule, words)] if words else []
            pending = ""
        assert not pending
    return found


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize(("rule", "argv"), table("secret_lines.txt"), ids=lambda part: " ".join(part)[:80])
def test_a_command_line_loses_its_secret(rule, argv, canary):
    """Each line of the table loses the secret, and keeps as many arguments and its program."""
    filled = [word.format(canary, canary) if "{}" in word else word for word in argv]
    shown = redact.arguments(filled)
    assert "canary" not in " ".join(shown), rule
    assert len(shown) == len(filled)
    assert shown[0] == filled[0] or "{}" in argv[0]


@pytest.mark.parametrize(("rule", "argv"), table("harmless_lines.txt"), ids=lambda part: " ".join(part)[:80])
def test_a_harmless_command_line_stays_as_it_is(rule, argv):
    """Nothing is hidden in a line that only looks like one with a secret."""
    assert redact.arguments(argv) == tuple(argv), rule


ATOMS = [
    *(
        " ",
        "\t",
        "\n",
        "a",
        "A",
        "0",
        "a1",
        "aA",
        "-",
        "--",
        "_",
        ".",
        ":",
        "=",
        "/",
        "@",
        "%",
        ",",
        "|",
        "+",
        "'",
    ),
    *(
        '"',
        "\\",
        "\\'",
        '\\"',
        "\\\\",
        "$(",
        "`",
        "(",
        "[",
        "]",
        "{",
        "<",
        "token",
        "token ",
        "token=",
        "--token ",
    ),
    *(
        "token= ",
        "token='",
        'token="',
        "token=\\",
        'token=\\"',
        "'token': ",
        "token: a",
        "token: a[",
        "-p",
        "-p ",
    ),
    *(
        "-u a:",
        "-u ",
        "://",
        "://a:",
        "://a:/",
        "http://a",
        "hf_",
        "hf_a",
        "sk-",
        "sk-a",
        "sk_",
        "gl",
        "xoxb-",
        "SG.",
    ),
    *(
        "SG.aaaaaaaaaa",
        "eyJaaaaaa",
        "eyJaaaaaa.",
        "1//",
        "ya29.",
        "1:a",
        "12345678:",
        "-----BEGIN ",
        "PRIVATE KEY",
    ),
    *(
        "-----BEGIN PRIVATE KEY-----",
        "-----END ",
        "bearer ",
        "basic ",
        "basic a",
        "0x",
        "deadbeef-",
        "GPU-",
        "MIG-",
    ),
    *(
        "mysql ",
        "mysql -p",
        "curl -u",
        "echo ",
        "echo a|",
        "echo a |",
        "send ",
        'send "',
        "connect(",
        'connect("a",',
    ),
    *(
        "login(",
        'login("a",',
        "auth = (",
        "<<< ",
        "<<<",
        "\u200b",
        "\u2212",
        "md5 ",
        "sha256:",
        "a/",
        "a-",
        "a_",
        "1,",
    ),
    *("authorization: ", "cookie", "?token=", "&token=", "\ud800", "é", "漢"),
    *("~/", "~/a", "/home/", "/home/a/", "://a/t/", "/t/a", "open -u a", "open -u a,", "id=a,", "id=a,b="),
    *(
        "sha256-",
        "sha256-a",
        "{deadbeef-",
        "20240501T1022",
        "$A_",
        "bearer $A_",
        "$(cat ",
        "a.b(",
        "Token: a ",
    ),
    *(
        "wandb login ",
        "vault login a ",
        "mc alias set a ",
        "/u:a ",
        "/u:a /p:",
        "identified by '",
        ":_auth ",
        "seed phrase: ",
        "abc ",
        "password for a ",
        "password is generated for a ",
        '"key" value=',
        "<password>",
        "login code: ",
        "a:b@tcp(",
        "cat /",
        "//a:",
        "rtmp://a",
    ),
]
MODULES = (redact, secret_names, secret_programs, secret_shapes)
SOURCE = "".join(Path(module.__file__).read_text(encoding="utf-8") for module in MODULES)
PATTERNS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, (re.Pattern, LatePattern))
}
USES = {name: set(re.findall(rf"\b{name.partition('.')[2]}\.(\w+)\(", SOURCE)) for name in PATTERNS}
LENGTH = 12_000  # characters; quadratic time over so many is a second
MOST = 0.3  # seconds of this thread's own time


def seconds(call):
    """Measure the processor's time of a call, which others on the machine do not lengthen."""
    began = time.thread_time()
    call()
    return time.thread_time() - began


def test_every_pattern_is_tried():
    """The patterns are found whether they are compiled at once or late."""
    assert (
        len(PATTERNS)
        == len(re.findall(r"^_?[A-Z_]+ = (?:late_pattern|re\.compile)\(", SOURCE, re.MULTILINE))
        > 30
    )


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_grows_faster_than_the_text(name):
    """Each pattern takes little time over a long text of any one of these parts, used as the code uses it."""
    pattern = PATTERNS[name]
    calls = [getattr(pattern, use) for use in USES[name] - {"sub"}]
    calls += [] if USES[name] and "sub" not in USES[name] else [pattern.findall]
    for atom in ATOMS:
        text = atom * (LENGTH // len(atom))
        for hostile in (f"token{text}", f"token='{text}", f"{text}!"):
            for call in calls:
                assert seconds(lambda call=call, hostile=hostile: call(hostile)) < MOST, (name, atom)


@pytest.mark.parametrize("atom", ATOMS)
def test_no_argument_takes_long(atom):
    """Redaction of the longest argument that Linux allows takes little time, whatever it is made of."""
    whole, named, glued = (
        atom * (131_072 // len(atom)),
        "token" + atom * (120_000 // len(atom)),
        f"--token={atom * 30_000}",
    )
    for call in (
        lambda: redact.arguments(["python", whole, named, glued]),
        lambda: redact.text(named),  # a part of arguments(), but where a name is the argument's own
    ):
        assert seconds(call) < 4.0


def test_a_long_argument_is_cut_where_no_secret_is_cut_in_two():
    """Of a very long argument the beginning is shown; a secret across the cut is not shown in part."""
    for lead in range(redact.LONGEST - 40, redact.LONGEST):
        words = "x " * (lead // 2)
        shown = redact.text(f"{words}https://ada:{CANARIES[0]}@host/path and more")
        assert "canary" not in shown
        assert "Xq7" not in shown
        assert len(shown) <= redact.LONGEST + len(redact.REDACTED) * 2
    (shown,) = redact.arguments(["a" * 200_000])
    assert len(shown) < redact.LONGEST + 3
