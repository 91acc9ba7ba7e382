"""Reading the end of a log: colours, progress bars, bytes that are no text, ranks, tracebacks, bounds."""

from __future__ import annotations

import pytest

from gpuwatch_tray.runs.log_tail import LONGEST, MOST, MOST_LINES, is_progress, read_lines


def texts(log):
    return [line.text for line in read_lines(log)]


def test_colours_and_line_ends_of_a_terminal_are_removed():
    """Escape sequences, carriage returns at the end and blank lines are not part of a line."""
    log = b"\x1b[31mRuntimeError\x1b[0m: x\r\n\r\n \n\x1b]0;title\x07done\r\r\n"
    assert texts(log) == ["RuntimeError: x", "done"]


def test_of_a_progress_bar_the_last_state_stays():
    """What a carriage return wrote over is gone, as on a terminal."""
    assert texts("  0%|   | 0/9\r 50%|#  | 4/9\r100%|###| 9/9\ndone") == ["100%|###| 9/9", "done"]


def test_bytes_that_are_no_text_do_no_harm():
    """Invalid UTF-8 and NUL bytes leave the rest of the line readable."""
    assert texts(b"\xff\xfeOSError: \xe6\x97 full\0\n") == ["\ufffd\ufffdOSError: \ufffd full"]


@pytest.mark.parametrize(
    ("line", "rank"),
    [
        ("[rank3]: KeyError: 'x'", "3"),
        ("[default1]:KeyError: 'x'", "1"),
        ("[1,5]<stderr>: KeyError: 'x'", "5"),
        ("12: KeyError: 'x'", "12"),
        ("(RayTrainWorker pid=9071, ip=10.0.0.2) KeyError: 'x'", ""),
        ("(EngineCore_DP0 pid=185173) KeyError: 'x'", ""),
        ("ERROR 05-07 02:14:18 [core.py:396] KeyError: 'x'", ""),
        ("(Worker pid=3) [rank2]: KeyError: 'x'", "2"),
        ("stderr: KeyError: 'x'", ""),
        ("I1129 20:40:09.033465 140678175391744 run_docker.py:255] KeyError: 'x'", ""),
    ],
)
def test_what_a_launcher_puts_before_a_line_is_taken_off(line, rank):
    """The prefixes of torchrun, mpirun, srun, Ray and vLLM are no part of a line; they may name the rank."""
    (read,) = read_lines(line)
    assert (read.text, read.rank) == ("KeyError: 'x'", rank)


def test_source_code_in_a_traceback_is_no_line_of_the_log():
    """A source line that names an error is quoted; after the frames comes the exception, with its code."""
    log = (
        "Traceback (most recent call last):\n"
        '  File "a.py", line 3, in f\n'
        '    raise RuntimeError("CUDA out of memory. Tried to allocate")\n'
        "    ^^^^^^^^^^^^^^^^^\n"
        "RuntimeError: busy\n"
    )
    *quoted, last = read_lines(log)
    assert all(line.quoted for line in quoted)
    assert (last.quoted, last.exception) == (False, "RuntimeError")
    assert last.code == 'raise RuntimeError("CUDA out of memory. Tried to allocate")'


def test_a_traceback_in_a_frame_is_read():
    """Rich draws a frame around the source; the exception stands below it."""
    log = (
        "╭───── Traceback (most recent call last) ─────╮\n"
        "│ /home/kai/train.py:967 in <module>          │\n"
        '│ ❱ 967 │   raise MemoryError("of the test")  │\n'
        "╰─────────────────────────────────────────────╯\n"
        "KeyError: 'x'\n"
    )
    *quoted, last = read_lines(log)
    assert all(line.quoted for line in quoted)
    assert (last.quoted, last.exception) == (False, "KeyError")


def test_tracebacks_of_ranks_that_are_mixed_are_told_apart():
    """Two ranks that print at the same time each have their own traceback and exception."""
    log = (
        "[rank0]: Traceback (most recent call last):\n"
        "[rank1]: Traceback (most recent call last):\n"
        '[rank1]:   File "a.py", line 3, in f\n'
        '[rank0]:   File "a.py", line 9, in g\n'
        "[rank1]:     one()\n"
        "[rank0]:     zero()\n"
        "[rank0]: ValueError: zero\n"
        "[rank1]: KeyError: 'one'\n"
    )
    ends = [(line.rank, line.exception, line.code) for line in read_lines(log) if line.exception]
    assert ends == [("0", "ValueError", "zero()"), ("1", "KeyError", "one()")]


def test_a_traceback_that_is_only_reported_is_quoted():
    """What Python prints of an exception that it ignored ends nothing."""
    log = (
        'Exception ignored in: <x>\nTraceback (most recent call last):\n  File "a", line 1\n    f\nOSError\n'
    )
    assert all(line.quoted for line in read_lines(log))


@pytest.mark.parametrize(
    "line",
    [
        "step 12 loss 2.0",
        "Epoch: [0][ 10/5005]",
        "{'loss': 1.84, 'epoch': 0.02}",
        " 3%|# | 37/1250 [00:12, 2.9it/s]",
    ],
)
def test_progress_is_recognised(line):
    """The usual lines of training and progress bars show that a program is at work."""
    assert is_progress(read_lines(line)[0])


@pytest.mark.parametrize("line", ["RuntimeError: shape", "wandb:  epoch 3", "closing file 3", "Killed"])
def test_other_lines_are_no_progress(line):
    """An error, a closing word or wandb's summary of a run that has ended is no progress."""
    assert not is_progress(read_lines(line)[0])


def test_no_more_is_read_than_the_bounds():
    """Of a long log the end is read, of a long line the beginning."""
    assert len(read_lines("x\n" * (2 * MOST_LINES))) <= MOST_LINES
    (line,) = read_lines("y" * (2 * MOST))
    assert len(line.text) == LONGEST
    assert texts("first\n" + "z" * MOST)[-1].startswith("z")
