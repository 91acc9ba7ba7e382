"""Runs on disk: their logs keep beginning and end, their records outlive whoever writes them."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray.common.run_log import RECORD, START, RunLog
from gpuwatch_tray.runs.log_file import LogText, read_log
from gpuwatch_tray.runs.run_folder import RunFolder, RunRecord, record_from_json


def logged(folder, *parts, head=10, tail=12):
    log = RunLog(folder, head, tail)
    for part in parts:
        log.write(part)
    log.close()
    return read_log(folder)


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_head_and_tail_are_those_of_what_was_written(tmp_path_factory, parts):
    """Whatever the pieces: the first bytes, the last ones, and how many lie between, add up to the whole."""
    folder, whole = tmp_path_factory.mktemp("run"), b"".join(parts)
    kept = logged(folder, *parts)
    assert kept.head == whole[:10]
    assert len(kept.head) + kept.left_out + len(kept.tail) == len(whole)
    assert whole.endswith(kept.tail)
    assert len(kept.tail) == min(12, max(0, len(whole) - 10))
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 10 + START + 12


def test_the_end_of_a_log_never_spans_what_was_left_out():
    """Two lines that were megabytes apart are not read as neighbours."""
    assert LogText(b"abc", 0, b"def").end(4) == b"cdef"
    assert LogText(b"abc", 5, b"def").end(4) == b"def"
    assert LogText(b"abc").end(2) == b"bc"


def test_a_log_is_on_disk_before_its_writer_dies(tmp_path):
    """After kill -9 the last byte that came is there."""
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom gpuwatch_tray.common.run_log import RunLog\n"
        "log = RunLog(Path(sys.argv[1]))\nlog.write(b'step 1\\nstep 2')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False, timeout=60)
    assert read_log(tmp_path).head == b"step 1\nstep 2"
    assert stat.S_IMODE((tmp_path / "head").stat().st_mode) == 0o600


@pytest.mark.parametrize("page", ["json.md", "json.zh-CN.md"])
def test_the_documentation_has_every_key(page):
    """What `runs --json` prints is explained, and nothing else."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
    (section,) = re.findall(r"^## .*runs\b.*\n((?:(?!## ).*\n)+)", text, re.MULTILINE)
    named = set(re.findall(r"`([a-z_]+)`", section))
    values = {"ended", "gpu_memory", "unknown", "certain", "likely", "possible"}
    assert set(RunRecord.__struct_fields__) == named - (values - {"ended"})


def test_a_long_log_is_on_disk_before_its_writer_dies(tmp_path):
    """After kill -9 what went round in the tail is there too, to the last byte."""
    code = (
        "import os, signal, sys\nfrom gpuwatch_tray.common.run_log import RunLog\n"
        "log = RunLog(sys.argv[1], 100, 1000)\n"
        "for n in range(1000): log.write(b'%06d\\n' % n)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False, timeout=60)
    whole = b"".join(b"%06d\n" % n for n in range(1000))
    assert read_log(tmp_path) == LogText(whole[:100], 7000 - 1100, whole[-1000:])


def test_a_disk_that_takes_nothing_is_counted(tmp_path):
    """The run goes on, and the record can say how much of the log is missing."""
    log = RunLog(tmp_path / "gone")
    log.write(b"12345")
    assert log.lost == 5
    with pytest.raises(FileNotFoundError):
        read_log(tmp_path / "gone")


def test_runs_that_begin_at_once_have_numbers_of_their_own(tmp_path):
    """A sweep starts many at the same moment."""
    numbers = []
    begin = [
        threading.Thread(target=lambda: numbers.append(RunFolder(tmp_path).create("x")[0].number))
        for _ in range(16)
    ]
    for thread in begin:
        thread.start()
    for thread in begin:
        thread.join(30)
    assert sorted(numbers) == list(range(1, 17))
    assert stat.S_IMODE((tmp_path / "runs").stat().st_mode) == 0o700


def test_a_number_is_not_used_again(tmp_path):
    """`runs show 3` never shows another run than it did, while a later one is there."""
    runs = RunFolder(tmp_path)
    for _ in range(3):
        runs.create("x")
    assert runs.clear(lambda _record: False, most=1) == [2, 1]
    assert runs.create("x")[0].number == 4


def test_the_oldest_are_cleared_and_never_one_that_runs(tmp_path):
    """By number and by size; a run of weeks keeps its log."""
    runs = RunFolder(tmp_path)
    for number in range(1, 6):
        _record, folder = runs.create("x", pid=number)
        (folder / "head").write_bytes(b"x" * 1000)
    assert runs.clear(lambda record: record.pid == 1, most=3) == [2]
    assert [record.number for record in runs.records()] == [5, 4, 3, 1]
    assert runs.clear(lambda record: record.pid == 1, most_bytes=2500) == [4, 3]


def test_a_record_comes_back_as_it_was_written(tmp_path):
    """And another version's keys do no harm."""
    runs = RunFolder(tmp_path)
    record, folder = runs.create("python train.py", name="base", gpus=("GPU 0",), began=5.0)
    done = replace(record, ended=9.0, code=1, kind="gpu_memory", output=("a", "b"))
    runs.write(done)
    assert runs.read(record.number) == done
    body = json.loads((folder / RECORD).read_text()) | {"later": 1}
    assert record_from_json(body) == done


@pytest.mark.parametrize("text", ["", "[]", "{", '{"number": 1}', "null"])
def test_a_record_that_cannot_be_read_is_left_out(tmp_path, text):
    """One damaged file does not take the list of the others."""
    runs = RunFolder(tmp_path)
    good, _folder = runs.create("x")
    _bad, folder = runs.create("y")
    (folder / RECORD).write_text(text)
    assert runs.records() == [good]


def test_a_run_is_called_by_its_name():
    """Without one, by its command."""
    assert RunRecord(1, "python train.py", name="base").called == "base"
    assert RunRecord(1, "python train.py").called == "python train.py"
