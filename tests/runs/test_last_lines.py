"""The last lines of a log: what a person would have seen, and no secret."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.runs.log_file import last_lines

CANARY = "Xq7canary"


def lines(*parts):
    return last_lines(b"".join(parts))


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        ([], []),
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a\r\nb", b"c\r\n"], ["a", "bc"]),
        ([b"\n  \na\n\n"], ["a"]),
        # a progress bar is its last state
        ([b" 10%\r 20%\r 30%"], [" 30%"]),
        ([b" 10%\r", b" 20%\r", b"\n", b"done\n"], [" 20%", "done"]),
        # colours go, other controls are written out
        ([b"\x1b[31;1mred\x1b[0m \x1b]0;title\x07x\x08\n"], [r"red x\x08"]),
        ([b"\xff\n"], ["\ufffd"]),
        ([b"%d\n" % n for n in range(99)], [str(n) for n in range(89, 99)]),
        ([b"x" * 9999], ["x" * 199 + "…"]),
    ],
)
def test_the_last_lines(parts, kept):
    """Ten lines at most, as a person would have seen them."""
    assert list(lines(*parts)) == kept


@given(
    st.sampled_from(["--token {}", "password={}", 'api_key: "{}"', "https://u:{}@host/", "HF_TOKEN={}"]),
    st.text("abc \n", max_size=30),
)
def test_no_secret_is_kept(form, before):
    """A secret in the output is not among the lines."""
    data = f"{before}\nrun {form.format(CANARY + 'A1b2C3d4E5')}\n".encode()
    assert "canary" not in " ".join(lines(data))


def test_a_secret_of_many_lines_is_not_kept():
    """A private key begins above the lines that are shown, and none of it is."""
    key = "\n".join(["-----BEGIN PRIVATE KEY-----", *["canary" + "x" * 20] * 25, "-----END PRIVATE KEY-----"])
    assert "canary" not in " ".join(lines(f"{key}\nafter\n".encode()))
