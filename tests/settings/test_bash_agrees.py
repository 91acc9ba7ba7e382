"""Our reader against the real Bash: the same values for the same files."""

from __future__ import annotations

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuwatch_tray.settings.shell import Namespace, parse_script
from tests.settings.bash import ENVIRONMENT, complaint, ours, sourced

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash to compare with")

NAMES = ("A", "B", "_c1", "E", "HOME", "unset")
moderate = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# --- files built from the grammar of data


_bare = st.text("aZ0%+,-./:=@^_!*?#[]é\x0b\r", min_size=1, max_size=4)
_escaped = st.sampled_from(list(" \t'\"\\$`#~&|;<>(){}ab*é")).map(lambda c: f"\\{c}")
_single = st.text('ab \t\n"$`\\#;&|<>(){}~:=é', max_size=6).map(lambda text: f"'{text}'")
_reference = st.sampled_from([form for name in NAMES for form in (f"${{{name}}}", f"${name}")])
_dollar = st.sampled_from(["$/", "$:", "$=", "$%", "$é", "$,"])
_continued = st.just("\\\n")
_in_double = st.one_of(
    st.text("ab \t\n'#;&|<>(){}~:=*é", min_size=1, max_size=4),
    st.sampled_from(['\\"', "\\$", "\\`", "\\\\", "\\a", "\\n", "\\'", "\\ ", "$ ", "$'x'", "$/"]),
    _reference,
    _continued,
)
_double = st.lists(_in_double, max_size=4).map(lambda parts: '"' + "".join(parts) + '"')
_tilde = st.sampled_from(["~/", ":~/a", ":~:", "~'x'", '~"/"', "~\\/", ":~\\:", "~$A", "x~", "~/~", "~/:~/"])
_value = st.lists(
    st.one_of(_bare, _escaped, _single, _double, _reference, _dollar, _tilde, _continued), max_size=5
).map("".join)
_assignment = st.tuples(st.sampled_from(NAMES), _value).map("=".join)
_blank = st.sampled_from([" ", "\t", "  ", " \\\n "])
_comment = st.text("ab '\"$`\\(){};&|=#~", max_size=8).map(lambda text: "#" + text)
_end = st.one_of(
    st.sampled_from(["\n", ";", " ; ", ";\n", "\n\n \n", "\t\n"]),
    _comment.map(lambda comment: f" {comment}\n"),
    _comment.map(lambda comment: f";{comment}\n{comment}\n"),
)


@st.composite
def files(draw) -> str:
    """Draw a file of data."""
    parts = [draw(st.sampled_from(["", "\n", "# a comment's\n", "  "]))]
    for _ in range(draw(st.integers(1, 4))):
        words = draw(st.lists(_assignment, min_size=1, max_size=3))
        if draw(st.booleans()):
            words = ["export", *words, *draw(st.lists(st.sampled_from(NAMES), max_size=1))]
        parts += [draw(_blank).join(words), draw(_end)]
    return "".join(parts)


@given(st.lists(files(), min_size=20, max_size=40))
@moderate
def test_a_file_of_data_gives_the_values_that_bash_gives(tmp_path, texts):
    """Whatever is built from the grammar of data is read without an error, and as Bash reads it."""
    for text, theirs in zip(texts, sourced(texts, NAMES, tmp_path), strict=True):
        assert _known(ours(parse_script(text))) == theirs, text


def _known(values: dict[str, str]) -> dict[str, str]:
    """With what the environment knows, for the names that are compared."""
    known = ENVIRONMENT | values
    return {name: known[name] for name in NAMES if name in known}


# --- and the other way round: whatever our reader takes for data


_TOKENS = (
    *"AB='\"\\$#;~:/{}, \t\nx0%=é",
    *(
        "A=",
        "B=",
        "\nA=",
        ";B=",
        "export ",
        "export A=",
        "$A",
        "${B}",
        '"$E"',
        "\\\n",
        "''",
        '""',
        "$'",
        '$"',
    ),
)
_soup = st.lists(st.sampled_from(_TOKENS), max_size=9).map(lambda tokens: "A=" + "".join(tokens))


@given(st.lists(_soup, min_size=150, max_size=200))
@moderate
def test_what_we_take_for_data_is_data_to_bash(tmp_path, texts):
    """
    Of random texts, those that we read without an error give the same values in Bash.

    They may be sourced: they hold data as far as we can tell, and no letters that spell a command.
    """
    taken = {}
    for text in texts:
        script = parse_script(text)
        if not script.errors and not Namespace(ENVIRONMENT, "").source(script)[1]:
            taken[text] = ours(script)
    names = {*NAMES, *(name for values in taken.values() for name in values)}
    for (text, values), theirs in zip(taken.items(), sourced(list(taken), names, tmp_path), strict=True):
        known = ENVIRONMENT | values
        assert {name: known[name] for name in names if name in known} == theirs, text


@given(st.text(st.sampled_from("AB='\"\\$#;~:/{}()[]<>|&`!?-+ \t\nx0é\x00\udce9"), max_size=60))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_no_text_makes_the_reader_fail(text):
    """Any text at all is read to its end, with errors on lines that it has."""
    script = parse_script(text)
    assert all(1 <= error.line <= text.count("\n") + 1 for error in script.errors)


@pytest.mark.parametrize(
    "text", ["A='x", 'A="x', 'A=1\nB="x\n', "A=1; ;", "; A=1", "A=1;;B=2", "A=1 )", "A=<"]
)
def test_what_is_no_syntax_to_bash_is_an_error_to_us(tmp_path, text):
    """A text that `bash -n` refuses is not taken for data."""
    assert complaint(text, tmp_path)
    assert parse_script(text).errors
