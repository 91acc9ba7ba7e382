"""The table of signs: each row knows its lines, and not what only looks like them; none grows too fast."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gpuwatch_tray.runs import Exited, Signalled
from gpuwatch_tray.runs.explanation import explain_end
from gpuwatch_tray.runs.fact_rules import FACT_RULES
from gpuwatch_tray.runs.log_errors import SIGNS
from gpuwatch_tray.runs.log_tail import LONGEST, MOST
from gpuwatch_tray.runs.sentences import _ASKED, _FREE, _GPU, _LIBRARY, _MODULE, _PATH, _PORT, _RANK, _SIGNAL

ROWS = {sign.name: sign for sign in SIGNS}
MOST_SECONDS = 1.5  # of this thread's own time, for the most hostile log; quadratic time would be minutes


def read_examples():
    """Read the table of examples: the name of the sign, whether the line is one, the line."""
    name, found = "", []
    for line in (Path(__file__).parent / "data" / "signs.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith(("+ ", "- ")):
            found.append((name, line[0] == "+", line[2:]))
        elif line and not line.startswith("#"):
            name = line
    return found


EXAMPLES = read_examples()


def seconds(call):
    """Measure the processor's time of a call, which others on the machine do not lengthen."""
    began = time.thread_time()
    call()
    return time.thread_time() - began


@pytest.mark.parametrize(("name", "is_one", "line"), EXAMPLES)
def test_a_sign_knows_its_lines_and_no_others(name, is_one, line):
    """Each example is recognised by its row, needle and pattern, and no counter-example is."""
    sign = ROWS[name]
    hit = any(needle in line.lower() for needle in sign.needles) and sign.pattern.search(line)
    assert bool(hit) == is_one


def test_every_row_has_examples_counter_examples_and_a_source():
    """No row stands without a line that it is for, one that it is not for, and a page to read."""
    assert len(ROWS) == len(SIGNS)
    for kind in (True, False):
        assert {name for name, is_one, _line in EXAMPLES if is_one == kind} == set(ROWS)
    for row in (*SIGNS, *FACT_RULES):
        assert row.source.startswith("https://"), row


@pytest.mark.parametrize("name", ROWS)
def test_no_pattern_grows_faster_than_a_line(name):
    """A pattern takes little time over the longest line, made of any one of the words that it looks for."""
    lines = [line for row, _is_one, line in EXAMPLES if row == name]
    for atom in (*lines, *{word for line in lines for word in line.split()}, *ROWS[name].needles):
        text = f"{atom} " * (LONGEST // len(atom))
        assert seconds(lambda text=text: ROWS[name].pattern.search(text)) < MOST_SECONDS


ATOMS = [
    *(
        " ",
        "a",
        "1",
        "'",
        ": ",
        "/",
        "(",
        "[",
        "\x1b[",
        "\x1b]",
        "\x1b]a",
        "\r",
        "\0",
        "│ ",
        "[rank1]: ",
        "漢",
        "a.",
    ),
    *(
        "Error: ",
        "CUDA ",
        "cuda",
        "loss is ",
        "python ",
        'File "',
        "NCCL WARN ",
        "ImportError: requires ",
        "1: ",
    ),
    *(
        "Traceback (most recent call last):\n",
        '  File "',
        "step 1\n",
        "(A pid=1) ",
        "[1,1]<stdout>: ",
        "password=",
    ),
]


@pytest.mark.parametrize("atom", ATOMS)
def test_no_log_takes_long(atom):
    """The longest log that is read is explained in little time, whatever it is made of."""
    long = (atom * (LONGEST // len(atom)) + "\n") * (MOST // LONGEST // 2)
    short = (atom + "\n") * (MOST // (len(atom) + 1) // 2)
    for log in (long + short, atom * (MOST // len(atom))):
        assert seconds(lambda log=log: explain_end(log, Exited(1))) < MOST_SECONDS


def test_no_log_of_all_needles_takes_long():
    """A log takes little time in which every line has what every row of the table looks for."""
    line = " ".join(needle for sign in SIGNS for needle in sign.needles)
    assert seconds(lambda: explain_end(f"{line[:LONGEST]}\n" * 3000, Signalled(9))) < MOST_SECONDS


@pytest.mark.parametrize("pattern", [_ASKED, _FREE, _GPU, _LIBRARY, _MODULE, _PATH, _PORT, _RANK, _SIGNAL])
def test_what_a_sentence_takes_from_a_line_is_found_fast(pattern):
    """The patterns of the sentences, too, take little time over the longest line."""
    for atom in (*ATOMS, "lib", "lib.so", "1,", "allocate ", "GPU ", "port "):
        text = atom * (LONGEST // len(atom))
        assert seconds(lambda text=text: pattern.search(text)) < MOST_SECONDS
