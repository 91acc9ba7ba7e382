"""Where the exporter has its rows from: one reading at a time, and an answer whatever the driver does."""

from __future__ import annotations

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace

from gpuwatch_tray.app import exporter
from gpuwatch_tray.app.context import SourceKind, WorkError, create_context
from gpuwatch_tray.app.export_answer import build_answer, export_request, firing_alerts, rows_from_json
from gpuwatch_tray.app.exporter import ExportFeed, write_textfile
from gpuwatch_tray.export.reading_tally import ReadingTally
from gpuwatch_tray.export.rows import FiringAlert
from gpuwatch_tray.ipc import RequestRefusedError
from gpuwatch_tray.model import ExportSettings, ExportUsers, Limits, Phase, Problem, Severity
from gpuwatch_tray.store import StoreError
from tests.support.fakes import BOOT, START, alert, process, snapshot

REQUEST = export_request(ExportSettings())


class Source:
    """A source whose reading is `snapshot`, once `go` is set."""

    name = "test"

    def __init__(self):
        self.go = threading.Event()
        self.go.set()
        self.snapshot = snapshot(process(1))
        self.reads = 0
        self.closed = False

    def read(self):
        self.reads += 1
        self.go.wait(60)
        return self.snapshot

    def close(self):
        self.closed = True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def source(monkeypatch):
    made = Source()
    monkeypatch.setattr(exporter, "open_source", lambda _context: made)
    return made


@pytest.fixture
def answer(monkeypatch):
    """What the running program answers: None where none runs, an error where it does not."""
    given = {"answer": None}

    def ask(_context, _request, _timeout):
        if isinstance(given["answer"], Exception):
            raise given["answer"]
        return given["answer"]

    monkeypatch.setattr(exporter, "try_request", ask)
    return given


@pytest.fixture
def context(tmp_path):
    return create_context({"GPUWATCH_CACHE": str(tmp_path)} | os.environ, SourceKind.NVML)


def ok(told):
    return told[0]["reading_ok"][()]


def test_without_a_running_program_it_reads_by_itself(context, source, answer):
    """Nobody judges there, so no alert is told, and it says so."""
    feed = ExportFeed(context)
    rows, since = feed.read()
    assert rows["reading_ok"] == {(): 1}
    assert rows["alerts_evaluated"] == {(): 0}
    assert "alert" not in rows
    assert rows["user_gpus"] == {("ada",): 1}
    assert since is not None
    feed.close()
    assert source.closed


def test_what_the_running_program_tells_is_told(context, source, answer):
    """Its rows, and since when it counts; the driver is let go of, and not read again."""
    feed = ExportFeed(context, clock=(clock := Clock()))
    feed.read()
    answer["answer"] = {"rows": {"reading_ok": [[1.0]], "user_gpus": [["bob", 3.0]]}, "since": 7.0}
    clock.now = 60.0
    rows, since = feed.read()
    assert rows["user_gpus"] == {("bob",): 3.0}
    assert since == 7.0
    assert (source.reads, source.closed) == (1, True)


def test_a_running_program_that_does_not_answer_is_not_read_past(context, source, answer, caplog):
    """Its GPUs are not known then; why is logged once, and that they can be read again too."""
    feed = ExportFeed(context, clock=(clock := Clock()))
    answer["answer"] = WorkError("no answer within 3 s")
    with caplog.at_level(logging.WARNING):
        for minute in range(3):
            clock.now = minute * 60.0
            assert ok(feed.read()) == 0
        answer["answer"] = None
        clock.now = 600.0
        assert ok(feed.read()) == 1
    assert source.reads == 1
    assert [record.getMessage() for record in caplog.records] == [
        "export: no answer within 3 s",
        "export: the reading works again",
    ]


def test_a_reading_that_hangs_is_told_as_one(context, source, answer):
    """The scrape gets reading_ok 0; no second reading is begun; once it is through, its values are told."""
    clock = Clock()
    feed = ExportFeed(context, wait=60.0, clock=clock)
    assert ok(feed.read()) == 1
    feed._wait = 0.01
    source.go.clear()
    clock.now = 60.0
    for _ in range(3):
        rows, _since = feed.read()
        assert {name for name in rows if name.startswith(("gpu", "user", "process"))} == set()
        assert rows["reading_ok"] == {(): 0}
        assert rows["last_reading_timestamp_seconds"] == {(): START}
    assert source.reads == 2
    source.go.set()
    feed._under_way.result(60)
    assert ok(feed.read()) == 1


def test_replicas_share_a_reading(context, source, answer):
    """Eight that ask at once cause one reading."""
    source.go.clear()
    feed = ExportFeed(context, wait=60.0, clock=Clock())
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(feed.read) for _ in range(8)]
        source.go.set()
        assert [ok(each.result(60)) for each in asked] == [1] * 8
    assert source.reads == 1


def test_without_the_inventory_it_is_not_known_how_many_gpus_there_should_be(
    context, source, answer, monkeypatch, caplog
):
    """A lost GPU would look as if it had never been there; the trouble is in the log."""

    def broken(_context):
        raise StoreError("the state is broken")

    assert ExportFeed(context).read()[0]["gpus_expected"] == {(): 4}
    monkeypatch.setattr(exporter, "open_store", broken)
    rows, _since = ExportFeed(context).read()
    assert rows["gpus_visible"] == {(): 4}
    assert "gpus_expected" not in rows
    assert "the state is broken" in caplog.text


def test_a_fault_is_no_silence(context, source, answer, caplog):
    """An error that nobody foresaw is logged, and the GPUs are not known."""
    source.snapshot = None
    assert ok(ExportFeed(context).read()) == 0
    assert "the reading failed" in caplog.text


def test_a_reading_with_a_problem_is_logged(context, source, answer, caplog):
    """Why the GPUs cannot be read is in the log, and no metric's label."""
    source.snapshot = replace(snapshot(), problem=Problem("the driver is gone"))
    rows, _since = ExportFeed(context).read()
    assert rows["reading_ok"] == {(): 0}
    assert "the driver is gone" in caplog.text
    assert "gone" not in repr(rows)


def test_an_alert_has_the_gpus_that_it_is_about():
    """By the GPU's name in its subject, by a process on it; what is yet to fire is none."""
    reading = snapshot(process(1, 1), gpus=2)
    alerts = (
        alert("temp", "GPU-0000", Severity.CRITICAL),
        alert("hung", f"{BOOT}/1/start-1"),
        alert("gpu_limit"),
        alert("temp", "GPU-0001", phase=Phase.PENDING),
        alert("temp", "GPU-0001", phase=Phase.RECOVERING),
    )
    assert [*firing_alerts(alerts, reading)] == [
        FiringAlert("temp", Severity.CRITICAL, (0,)),
        FiringAlert("hung", Severity.WARNING, (1,)),
        FiringAlert("gpu_limit", Severity.WARNING),
        FiringAlert("temp", Severity.WARNING, (1,)),
    ]


def test_an_alert_keeps_its_labels_when_nothing_can_be_read():
    """It would be over, and another one begin, for whoever goes by the labels."""
    tally = ReadingTally(START)
    reading = snapshot(gpus=2)
    tally.add(reading)
    firing = [alert("temp", "GPU-0001", Severity.CRITICAL)]
    blind = replace(snapshot(gpus=0), problem=Problem("hangs"))
    told = [
        build_answer(REQUEST, each, tally, Limits(), firing)["rows"]["alert"] for each in (reading, blind)
    ]
    assert told == [[["temp", "critical", "1", 1.0]]] * 2


def test_before_the_first_reading_it_is_not_known_what_fires():
    """A tray that has just begun does not say that nothing does."""
    rows = build_answer(REQUEST, None, ReadingTally(START), Limits(), ())["rows"]
    assert rows == {"reading_ok": [[0.0]], "alerts_evaluated": [[0.0]]}


def test_the_request_says_how_users_are_named():
    """The settings of the exporter hold; a request of another version is refused, and is no fault."""
    tally = ReadingTally(START)
    request = export_request(ExportSettings(ExportUsers.HASHED, 0))
    rows = build_answer(request, snapshot(process(1)), tally, Limits(), ())["rows"]
    assert rows["user_gpus"][0][0].startswith("user-")
    assert "process_memory_bytes" not in rows
    for wrong in ({"do": "metrics"}, REQUEST | {"users": "loud"}, REQUEST | {"processes": "x"}):
        with pytest.raises(RequestRefusedError):
            build_answer(wrong, None, tally, Limits(), ())


def test_what_another_version_tells_is_left_out():
    """A metric that is not known, or has other labels."""
    told = {"reading_ok": [[1.0]], "news": [["a", 1.0]], "user_gpus": [["ada", "x", 1.0], ["bob", 2.0]]}
    assert rows_from_json(told) == {"reading_ok": {(): 1.0}, "user_gpus": {("bob",): 2.0}}


def test_a_file_is_whole_and_everybody_may_read_it(tmp_path):
    """node_exporter has a user of its own, whatever the umask; nothing is left beside the file."""
    file = tmp_path / "gpuwatch.prom"
    before = os.umask(0o077)
    try:
        write_textfile(file, "one 1\n")
        write_textfile(file, "two 2\n")
    finally:
        os.umask(before)
    assert file.read_text() == "two 2\n"
    assert file.stat().st_mode & 0o777 == 0o644
    assert [*tmp_path.iterdir()] == [file]


def test_a_file_that_cannot_be_replaced_stays_as_it_was(tmp_path):
    """The error is raised, and no part is left."""
    (tmp_path / "gpuwatch.prom").mkdir()
    with pytest.raises(OSError, match="gpuwatch"):
        write_textfile(tmp_path / "gpuwatch.prom", "one 1\n")
    assert [path.name for path in tmp_path.iterdir()] == ["gpuwatch.prom"]
