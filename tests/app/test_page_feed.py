"""The data file that the details page follows."""

from __future__ import annotations

import json
import stat

import pytest
from msgspec.structs import replace

from gpuwatch_tray.app.control import present_answer
from gpuwatch_tray.app.page_feed import FOLLOWED, HEARTBEAT, MOST_PROCESSES, PageFeed, build_news
from gpuwatch_tray.app.status_json import ResponderInfo, build_status
from gpuwatch_tray.ipc import RequestRefusedError
from gpuwatch_tray.model import GpuSample, Level, Phase, Span, Status
from tests.report.test_payload import HOSTILE
from tests.support.fakes import START, Clock, alert, process, snapshot

MIB = 2**20


def live(status, *, stale=False):
    return present_answer(status, build_status(status, ResponderInfo("tray", "box", "nvml")), stale=stale)


def status(*processes, alerts=(), **more):
    return Status(Level.OK, "calm", START, snapshot(*processes, gpus=2), tuple(alerts), **more)


class Fed:
    """A feed whose clock and status the test moves, and what it wrote."""

    def __init__(self, folder):
        self.clock = Clock()
        self.status = status(process(7))
        self.folder = folder
        folder.mkdir(mode=0o700)
        self.feed = PageFeed("box.live.js", lambda: self.status, live, self.clock.instant, lambda: 5.0)
        self.feed._run = lambda: None  # the test ticks by itself

    @property
    def file(self):
        return self.folder / "box.live.js"

    def news(self):
        text = self.file.read_text()
        assert text.startswith("gpuwatchLive(")
        return json.loads(text.removeprefix("gpuwatchLive(").removesuffix(");\n"))


@pytest.fixture
def fed(tmp_path):
    return Fed(tmp_path / "page")


def minute(at):
    span = Span(1024.4 * MIB, 2048.0 * MIB, 3072.0 * MIB, 60.0)
    return [GpuSample("GPU-0000", at, 60, 60.0, 12, memory=span, temperature=Span(41.2, 50.6, 60.0, 60.0))]


def test_the_file_is_there_once_the_page_is_wanted_for_this_user_alone(fed):
    """Written before the answer, so that the page finds it; mode 0600, and nothing unfinished beside it."""
    assert not fed.file.exists()
    assert fed.feed.follow(fed.folder) == {"file": "box.live.js"}
    assert stat.S_IMODE(fed.file.stat().st_mode) == 0o600
    assert list(fed.folder.iterdir()) == [fed.file]
    told = fed.news()
    assert (told["at"], told["written"], told["until"]) == (START, START, START + FOLLOWED)
    assert [run["pid"] for run in told["processes"]] == [7]


def test_it_is_written_anew_for_what_is_new_and_else_as_a_heartbeat(fed):
    """A new status at once; the same one again after seconds, so that silence means that nobody writes."""
    fed.feed.follow(fed.folder)
    fed.clock.advance(HEARTBEAT - 1)
    assert fed.feed.tick()
    assert fed.news()["written"] == START
    fed.status = replace(fed.status, headline="new")
    assert fed.feed.tick()
    assert fed.news()["state"]["headline"] == "new"
    fed.clock.advance(HEARTBEAT)
    assert fed.feed.tick()
    assert fed.news()["written"] == START + 2 * HEARTBEAT - 1
    assert fed.news()["at"] == START  # which is what the page shows the age of


def test_it_is_followed_for_an_hour_after_the_last_opening(fed):
    """Then the file tells no more than that; another opening begins anew."""
    fed.feed.follow(fed.folder)
    fed.clock.advance(FOLLOWED - 1)
    fed.feed.follow(fed.folder)
    fed.clock.advance(FOLLOWED - 1)
    assert fed.feed.tick()
    fed.clock.jump(-86400)  # somebody sets the clock: the hour is none the longer
    fed.clock.advance(1)
    assert not fed.feed.tick()
    assert set(fed.news()) == {"stopped", "written"}
    assert not fed.feed.tick()
    fed.feed.follow(fed.folder)
    assert fed.news()["gpus"]


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_a_folder_that_others_can_look_into_is_refused(fed, mode):
    """The file holds command lines."""
    fed.folder.chmod(mode)
    with pytest.raises(RequestRefusedError, match="not a folder that only you can read"):
        fed.feed.follow(fed.folder)
    assert not fed.feed.tick()


def test_a_folder_that_is_none_is_refused(fed, tmp_path, monkeypatch):
    """One that is missing, and one that depends on where the tray runs."""
    monkeypatch.chdir(fed.folder.parent)
    for wrong in (tmp_path / "missing", fed.folder.relative_to(tmp_path)):
        with pytest.raises(RequestRefusedError):
            fed.feed.follow(wrong)


def test_a_disk_that_takes_nothing_is_said_once(fed, caplog):
    """The program goes on, and tries again."""
    fed.feed.follow(fed.folder)
    fed.file.unlink()
    fed.folder.rmdir()
    for _ in range(3):
        fed.clock.advance(HEARTBEAT)
        assert fed.feed.tick()
    assert [record.message for record in caplog.records if "not followed" in record.message] != []
    assert len(caplog.records) == 1
    fed.folder.mkdir(mode=0o700)
    assert fed.feed.tick()
    assert fed.news()["gpus"]


def test_the_minutes_since_the_opening_are_told_too(fed):
    """By GPU the lowest, mean and highest of each metric, as the page's charts have them; None is a gap."""
    fed.feed.add_minute(minute(int(START) - 60))  # nobody wants it
    fed.feed.follow(fed.folder)
    fed.feed.add_minute(minute(int(START)))
    fed.status = replace(fed.status)
    assert fed.feed.tick()
    assert fed.news()["minutes"] == [
        [int(START), [["GPU-0000", [[1024, 2048, 3072], None, [41, 51, 60], None]]]],
    ]


def test_the_newest_processes_are_told_and_the_numbers_of_all():
    """As many as the page's table shows at first; whether one goes on can be told of each."""
    shown = status(*(process(pid, pid % 2, elapsed=float(pid)) for pid in range(1, 401)))
    told = build_news(shown, live(shown), ())
    assert [run["pid"] for run in told["processes"]] == list(range(1, MOST_PROCESSES + 1))
    assert told["processes"][0]["start"] == int(START - 1)
    assert sorted(pid for _, pids in told["pids"] for pid in pids) == list(range(1, 401))


def test_only_ones_own_commands_are_told_and_redacted():
    """Of others the program's name; no secret of either, and no text of theirs is a name in the file."""
    mine = process(1, command=("python", "train.py", "--token", "hf_canary0123456789abcdefghijkl"))
    other = process(2, mine=False, name=HOSTILE, user=HOSTILE, command=("secret-of-another",))
    shown = status(mine, other)
    told = build_news(shown, live(shown), ())
    text = json.dumps(told)
    assert "canary" not in text
    assert "secret-of-another" not in text
    by_pid = {run["pid"]: run for run in told["processes"]}
    assert by_pid[1]["command"] == "python train.py --token ***"
    assert by_pid[2]["command"] == ""

    def names(value):
        if isinstance(value, dict):
            return set(value).union(*map(names, value.values()))
        return set().union(*map(names, value)) if isinstance(value, list) else set()

    assert all(name.isidentifier() and name != "__proto__" for name in names(told))


def test_alerts_that_fire_are_told_with_what_was_said_to_them():
    """What is yet to fire is none; an acknowledged one says so, beside its number."""
    waiting = alert("fan", "GPU-0001", id=9, phase=Phase.PENDING, fired=None)
    shown = status(alerts=[alert(id=4, acknowledged=True), waiting])
    (told,) = build_news(shown, live(shown), ())["alerts"]
    assert (told["id"], told["note"], told["end"]) == (4, "acknowledged", None)


def test_what_was_read_before_is_not_told_as_the_present():
    """While no reading comes back: no GPU, no process, no value."""
    shown = replace(status(process(7)), level=Level.NO_DATA, headline="No data since 12:00")
    told = build_news(shown, live(shown, stale=True), ())
    assert (told["gpus"], told["processes"], told["pids"]) == ([], [], [])
    assert told["state"]["level"] == "no_data"
