"""The part of Bash that is data, case by case: what is read and as what, what is refused and why."""

from __future__ import annotations

import shutil

import pytest

from gpuwatch_tray.settings.shell import LONGEST, MOST_ERRORS, Namespace, parse_script
from tests.settings.bash import ENVIRONMENT, ours, sourced

# The text, and the variables that it sets.
DATA = (
    ("A=x", {"A": "x"}),
    ("A=", {"A": ""}),
    ("", {}),
    ("\n \t\n# only a comment's 'line' $(x)\n", {}),
    ("A=1 B=2", {"A": "1", "B": "2"}),
    ("A=1; B=2 ;export C=3;", {"A": "1", "B": "2", "C": "3"}),
    ("export A=1 B E C=2\n", {"A": "1", "C": "2"}),
    ("  export\tA=1\\\n B=2", {"A": "1", "B": "2"}),
    # quotes
    ("A='a $B `x` \\ \" #'", {"A": 'a $B `x` \\ " #'}),
    ('A="a \\$B \\` \\\\ \\" \\x \' #"', {"A": "a $B ` \\ \" \\x ' #"}),
    ("A=\"x\"'y'z", {"A": "xyz"}),
    ("A=a\\ b\\'c\\\\d\\$e\\#", {"A": "a b'c\\d$e#"}),
    ("A='two\nlines' B=\"three\n\nmore\"", {"A": "two\nlines", "B": "three\n\nmore"}),
    ("A=''\"\"", {"A": ""}),
    # comments
    ("A=a#b #c", {"A": "a#b"}),
    ("A=#b", {"A": "#b"}),
    ("A= # nothing", {"A": ""}),
    ("A=1;#c\nB=2 # A=3\\\nC=4", {"A": "1", "B": "2", "C": "4"}),
    # continued lines
    ("A=x\\\ny", {"A": "xy"}),
    ('A="x\\\ny"', {"A": "xy"}),
    ("A='x\\\ny'", {"A": "x\\\ny"}),
    ("A\\\n=x \\\nB=y", {"A": "x", "B": "y"}),
    ("A=x \\\n# c\nB=y", {"A": "x", "B": "y"}),
    # variables
    ("A=1 B=$A", {"A": "1", "B": "1"}),
    ("A=1\nexport A=2 B=$A", {"A": "2", "B": "1"}),
    ("A=1; A=$A$A", {"A": "11"}),
    ("A=$E B=x${E}y", {"A": ENVIRONMENT["E"], "B": f"x{ENVIRONMENT['E']}y"}),
    ('A="$nowhere${nowhere}."', {"A": "."}),
    ("A='$E'", {"A": "$E"}),
    ("E= A=$E", {"E": "", "A": ""}),
    ("A=$\\\nE B=${\\\nE}", {"A": ENVIRONMENT["E"], "B": ENVIRONMENT["E"]}),
    ('A=$ B=a$/b C="5$" D=$=', {"A": "$", "B": "a$/b", "C": "5$", "D": "$="}),
    ("export A=$E", {"A": ENVIRONMENT["E"]}),
    # home folders
    ("A=~ B=~/x C=~:~/y", {"A": "/home/tester", "B": "/home/tester/x", "C": "/home/tester:/home/tester/y"}),
    ("A='~/x' B=\"~\" C=\\~/x", {"A": "~/x", "B": "~", "C": "~/x"}),
    ("A=a~ B=''~ C=x=~/y D=~\"/x\"", {"A": "a~", "B": "~", "C": "x=~/y", "D": "~/x"}),
    ('A=""~ B=$E~', {"A": "~", "B": f"{ENVIRONMENT['E']}~"}),
    ("export A=~/x:~/y", {"A": "/home/tester/x:/home/tester/y"}),
    ("HOME=/other A=~/x", {"HOME": "/other", "A": "/other/x"}),
    ("HOME= A=~/x B=~", {"HOME": "", "A": "/x", "B": ""}),
    # what looks like more than it is
    ("A={a,b} B=* C=[x]?", {"A": "{a,b}", "B": "*", "C": "[x]?"}),
    ("D=a=b E=!x F=%^+,@", {"D": "a=b", "E": "!x", "F": "%^+,@"}),
    ("export A={a} B='{a,b}' C=*", {"A": "{a}", "B": "{a,b}", "C": "*"}),
    ("A=a\x0bb B=a\rb", {"A": "a\x0bb", "B": "a\rb"}),
    ("a1_=x", {"a1_": "x"}),
    ("A=\u00e4\udce9", {"A": "\u00e4\udce9"}),
)


@pytest.mark.parametrize(("text", "values"), DATA)
def test_data_is_read(text, values):
    """Data gives these values."""
    assert ours(parse_script(text)) == values


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash to compare with")
def test_bash_reads_the_same_data(tmp_path):
    """Bash gives the cases above the values that the table says."""
    names = {name for _, values in DATA for name in values}
    environment = {name: value for name, value in ENVIRONMENT.items() if name in names}
    found = sourced([text for text, _ in DATA], names, tmp_path)
    assert found == [environment | values for _, values in DATA]


# The text, and of each error: line, key, a part of the text.
NO_DATA = (
    # commands in values
    ("A=$(date)", [(1, "A", "`$(...)` is a command")]),
    ('A="$(echo ")" "x y")" B=2', [(1, "A", "`$(...)` is a command")]),
    ("A=`date`", [(1, "A", "backtick")]),
    ('A="x `date` y"\nB=1', [(1, "A", "backtick")]),
    ("A=$((1+2))", [(1, "A", "`$(...)`")]),
    ("A=$[1+2]", [(1, "A", "arithmetic")]),
    ("A=${X:-y}", [(1, "A", "only `${NAME}` is supported")]),
    ('A="${X:-it\'s}"\nB=1', [(1, "A", "only `${NAME}` is supported")]),
    ("A=${X/a/${Y}}", [(1, "A", "only `${NAME}` is supported")]),
    ("A=${}", [(1, "A", "only `${NAME}` is supported")]),
    ("A=${#X}", [(1, "A", "only `${NAME}` is supported")]),
    ("A=$1", [(1, "A", "running shell")]),
    ('A="$?"', [(1, "A", "running shell")]),
    ("A=pa$$word", [(1, "A", "running shell")]),
    ("A=$@", [(1, "A", "running shell")]),
    ("A=$'x\\'y'", [(1, "A", "without the $")]),
    ('A=$"x y"', [(1, "A", "without the $")]),
    ("A=~user", [(1, "A", "another account")]),
    ("A=x:~+/y", [(1, "A", "another account")]),
    # commands
    ("ls", [(1, "", "run this line as a command")]),
    ("A=1 ls", [(1, "A", "what follows A=... as a command: put a value with spaces in quotes")]),
    ("A= x", [(1, "A", "what follows A=... as a command: no spaces around =")]),
    ("A = x", [(1, "A", "command 'A': no spaces around =")]),
    ("A =x", [(1, "A", "command 'A': no spaces around =")]),
    ("A: x", [(1, "", "NAME=value")]),
    ("[section]", [(1, "", "NAME=value")]),
    ("A=a@b;c@d", [(1, "", "put a value that contains ; in quotes")]),
    ("A-B=x", [(1, "", "a name contains only")]),
    ("1A=x", [(1, "", "a name contains only")]),
    ('"A"=x', [(1, "", "as a command")]),
    ("$A=x", [(1, "", "as a command")]),
    ("$#export A=x", [(1, "", "as a command")]),
    ("if true\nthen A=1\nfi", [(1, "", "'if'"), (2, "", "'then'"), (3, "", "'fi'")]),
    ("f() { A=1; }", [(1, "", "`(`")]),
    ("source other.env", [(1, "", "other files are not read")]),
    (". other.env", [(1, "", "other files are not read")]),
    ("declare A=1", [(1, "", "'declare'")]),
    ("readonly A=1", [(1, "", "'readonly'")]),
    ("unset A", [(1, "", "'unset'")]),
    ("! A=1", [(1, "", "'!'")]),
    ("export", [(1, "", "`export` needs")]),
    ("export -n A", [(1, "", "`export` needs")]),
    ("export 'A=x'", [(1, "", "`export` needs")]),
    ("export $A", [(1, "", "`export` needs")]),
    ("export A={a,b}", [(1, "A", "braces")]),
    ("export A=x{1..3}", [(1, "A", "braces")]),
    # operators
    ("A=1 | cat", [(1, "A", "`|`")]),
    ("A=1 > file", [(1, "A", "`>`")]),
    ("A=x<y", [(1, "A", "`<`")]),
    ("A=1 &", [(1, "A", "`&`")]),
    ("A=http://x?a=1&B=2", [(1, "A", "`&`")]),
    ("A=1 && B=2", [(1, "A", "`&`")]),
    ("(A=1)", [(1, "", "`(`")]),
    ("A=1 )", [(1, "A", "`)`")]),
    (";A=1", [(1, "", "`;`")]),
    ("A=1;;B=2", [(1, "A", "`;`")]),
    # lists
    ("A=(1 2)", [(1, "A", 'A="..."')]),
    ("A=(1\n2)\nB=1", [(1, "A", 'A="..."')]),
    ("A[0]=x", [(1, "A", "only NAME=value")]),
    ("A+=x", [(1, "A", "only NAME=value")]),
    # what never ends
    ("A='x", [(1, "A", "quote ' that begins here is never closed")]),
    ('B=1\nA="x\n\n', [(2, "A", 'quote " that begins here is never closed')]),
    ('A="x\nB="y"\n', [(2, "A", "or one is missing on line 1")]),
    ("A=$(x\nB=1", [(1, "A", "without a matching `)`")]),
    ("A=`x\nB=1", [(1, "A", "backtick")]),
    ("A=${x\nB=1", [(1, "A", "without a matching `}`")]),
    ("A=(x\nB=1", [(1, "A", "without a matching `)`")]),
    ("don't say so\nA=1", [(1, "", "never closed")]),
    ("A=x\\", [(1, "A", "ends with a `\\`")]),
    # one does not hide the next, and lines are counted over quotes and continued lines
    (
        "A='\n\n'\nls\nB=\\\n1\nC=$(x) D=`y`\nif",
        [(4, "", "NAME"), (7, "C", "`$("), (7, "D", "back"), (8, "", "'if'")],
    ),
    ("ls 'a\nb'; pwd\nA = 1", [(1, "", "NAME"), (2, "", "`;`"), (3, "A", "spaces")]),
    ("ls | cat 'a\nb' # c'\nA = 1", [(1, "", "`|`"), (3, "A", "spaces")]),
)


@pytest.mark.parametrize(("text", "errors"), NO_DATA)
def test_what_bash_would_execute_is_an_error(text, errors):
    """What is no data is an error with its line, the key it belongs to, and what to do about it."""
    found = parse_script(text).errors
    assert [(error.line, error.key) for error in found] == [(line, key) for line, key, _ in errors]
    for error, (_, _, part) in zip(found, errors, strict=True):
        assert part in error.text


@pytest.mark.parametrize("name", ["UID", "RANDOM", "PWD", "BASH_VERSION", "HOSTNAME", "_", "IFS", "SECONDS"])
def test_what_bash_fills_in_is_an_error(name):
    """A variable that only the shell knows is not taken for an empty one."""
    _, errors, broken = Namespace({}, "").source(parse_script(f"A=1\nA=${name}"))
    assert [(error.line, error.key) for error in errors] == [(2, "A")]
    assert "Bash itself sets" in errors[0].text
    assert "A" in broken


def test_a_host_name_of_the_environment_is_no_mystery():
    """HOSTNAME is used where the environment or a line above says it, as Bash does."""
    values, errors, _ = Namespace({"HOSTNAME": "ws1"}, "").source(
        parse_script("A=$HOSTNAME\nHOSTNAME=ws2\nA=$HOSTNAME")
    )
    assert not errors
    assert [value.text for value in values] == ["ws1", "ws2", "ws2"]


def test_a_name_of_bash_cannot_be_assigned():
    """UID=1 is an error, as in Bash, where it is read-only."""
    _, errors, _ = Namespace({}, "").source(parse_script("UID=1"))
    assert [(error.line, error.key) for error in errors] == [(1, "UID")]


def test_without_home_a_tilde_is_the_folder_of_the_account():
    """As in Bash, `~` is known where HOME is not, and $HOME is then empty."""
    values, _, _ = Namespace({}, "/home/account").source(parse_script("A=~/x B=$HOME/x"))
    assert [value.text for value in values] == ["/home/account/x", "/x"]


def test_a_value_of_something_broken_is_broken_too():
    """What takes in a variable whose line is wrong has no value, and no second error."""
    namespace = Namespace({}, "")
    values, errors, broken = namespace.source(parse_script("BASE=$(pwd)\nA=$BASE/x\nBASE=/y\nB=$BASE/x"))
    assert not errors  # the one there is, is the parser's
    assert [(value.name, value.text) for value in values] == [("BASE", "/y"), ("B", "/y/x")]
    assert {"A", "BASE"} <= broken


def test_a_value_cannot_grow_without_end():
    """A value that doubles line after line is an error before it fills the memory."""
    _, errors, _ = Namespace({}, "").source(parse_script("A=xxxxxxxx\n" + "A=$A$A\n" * 40))
    assert [error.key for error in errors] == ["A"]
    assert str(LONGEST) in errors[0].text


def test_a_file_of_something_else_gives_a_bounded_list():
    """A file that is no settings at all is not answered with an error for each of its lines."""
    errors = parse_script("no settings here\n" * 1000).errors
    assert len(errors) == MOST_ERRORS + 1
    assert "the rest was not read" in errors[-1].text
