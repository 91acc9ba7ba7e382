"""Which process of a printed list was seen before: through delays, restarts and a clock that is set."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import pytest

from gpuwatch_tray.model import UNKNOWN, Missing, ProcessKind
from gpuwatch_tray.sources.command import RETURN_WITHIN, CommandSource, digest

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the lists are printed by cat")

NOW = 1_700_000_000.0


def row(pid=5, gpu=0, etime="01:00", cmd="python a.py") -> str:
    """Return a process of a list."""
    return f"GPU={gpu}  MEM=1MiB  PID={pid}  ETIME={etime}\n  CWD: /\n  CMD: {cmd}\n\n"


class Host:
    """A machine whose list and clock a test sets; its sightings outlive the sources that read it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "list"
        self.command = f"cat {shlex.quote(str(self.file))}"
        self.sightings: dict[tuple[int, str], float] = {}

    def read(self, now: float, *rows: str):
        """Return the processes of one reading by a new source, as after a restart."""
        self.file.write_text("".join(rows))
        source = CommandSource(self.command, first_seen=self.sightings, user="u", clock=lambda: now)
        return source.read().processes


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_a_process_keeps_its_identity_between_readings_and_restarts(host):
    """Estimates of one start differ by seconds; the first stands, across sources, so nothing is new."""
    first = host.read(NOW, row(etime="01:00"))
    later = host.read(NOW + 100.7, row(etime="02:38"))  # 2.7 s of delay
    assert later[0].identity == first[0].identity == f"{NOW - 60:.0f}"
    assert later[0].started == NOW - 60
    assert later[0].elapsed == 158.0


def test_a_slow_drift_does_not_make_a_new_process_of_an_old_one(host):
    """Within a minute of the remembered start it is the same process, at either edge."""
    first = host.read(NOW, row(etime="10:00"))[0].identity
    assert host.read(NOW, row(etime="11:00"))[0].identity == first
    assert host.read(NOW, row(etime="09:00"))[0].identity == first
    assert host.read(NOW, row(etime="11:01"))[0].identity != first


def test_a_pid_that_came_back_is_another_process(host):
    """The same PID and command with a later start is new, and so is another command under that PID."""
    first = host.read(NOW, row(etime="09:00:00"))[0].identity
    again = host.read(NOW + 10, row(etime="00:05"))[0].identity
    other = host.read(NOW + 200, row(etime="00:05", cmd="python b.py"))[0].identity
    assert len({first, again, other}) == 3


def test_what_is_gone_from_a_whole_list_is_forgotten(host):
    """A process that a complete reading lacks is dropped; after a failed reading it is remembered."""
    host.read(NOW, row(1), row(2))
    assert host.sightings == {(pid, digest(("python", "a.py"))): NOW - 60 for pid in (1, 2)}
    host.read(NOW, row(1), "GPU=x\n")
    assert len(host.sightings) == 2
    host.read(NOW, row(1))
    assert list(host.sightings) == [(1, digest(("python", "a.py")))]
    host.read(NOW)
    assert host.sightings == {}


class Lasting:
    """One source that reads a host again and again, while a test moves both clocks."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.wall, self.steady = NOW, 0.0
        self.source = CommandSource(
            host.command,
            first_seen=host.sightings,
            user="u",
            clock=lambda: self.wall,
            steady=lambda: self.steady,
        )

    def read(self, *rows: str, passed: float = 0, clock_set: float = 0):
        """Return the processes after some seconds, with the clock set by some more."""
        self.wall += passed + clock_set
        self.steady += passed
        self.host.file.write_text("".join(rows))
        return self.source.read().processes


@pytest.mark.parametrize("clock_set", [3600, -3600, 86_400 * 365])
def test_a_clock_that_is_set_makes_no_new_processes(host, clock_set):
    """What is older than the last reading is what was read then, whatever the clock says now."""
    lasting = Lasting(host)
    before = lasting.read(row(1, etime="01:00"), row(2, etime="09:00:00"))
    remembered = dict(host.sightings)
    after = lasting.read(
        row(1, etime="01:10"), row(2, etime="09:00:10"), row(3, etime="00:05"), passed=10, clock_set=clock_set
    )
    assert [one.identity for one in after[:2]] == [one.identity for one in before]
    assert after[0].started == lasting.wall - 70
    assert remembered.items() <= host.sightings.items()
    again = lasting.read(row(1, etime="01:20"), row(2, etime="09:00:20"), row(3, etime="00:15"), passed=10)
    assert [one.identity for one in again] == [one.identity for one in after]


def test_a_pid_that_came_back_between_two_readings_is_another_process(host):
    """It is younger than the last reading, so it cannot be what was read then."""
    lasting = Lasting(host)
    (first,) = lasting.read(row(etime="09:00:00"))
    (second,) = lasting.read(row(etime="00:08"), passed=10)
    assert second.identity != first.identity


def test_a_process_that_one_reading_lacked_is_known_when_it_returns(host):
    """For a short while; its first estimate stands, and the sightings on disk hold only what is there."""
    lasting = Lasting(host)
    (first,) = lasting.read(row(etime="01:00"))
    assert lasting.read(passed=10) == ()
    assert host.sightings == {}
    (second,) = lasting.read(row(etime="01:18"), passed=10)
    assert second.identity == first.identity
    lasting.read(passed=10)
    lasting.read(passed=RETURN_WITHIN + 1)
    assert lasting.read(row(etime="03:35"), passed=10)[0].identity != first.identity


def test_a_process_on_two_gpus_is_one_process(host):
    """Both its rows have one identity, though a second passed between their times."""
    first, second = host.read(NOW, row(gpu=0, etime="01:00"), row(gpu=1, etime="01:01"))
    assert first.identity == second.identity != ""


def test_an_unknown_elapsed_time_has_no_identity_and_forgets_none(host):
    """ETIME=NA says nothing of the start: no identity now, the old one when the time is there again."""
    first = host.read(NOW, row())[0].identity
    (unknown,) = host.read(NOW + 5, row(etime="NA"))
    assert (unknown.identity, unknown.elapsed, unknown.started) == ("", UNKNOWN, UNKNOWN)
    (odd,) = host.read(NOW + 5, row(etime="soon"))
    assert odd.identity == ""
    assert isinstance(odd.elapsed, Missing)
    assert host.read(NOW + 10, row(etime="01:10"))[0].identity == first


def test_a_command_that_could_not_be_read_once_is_the_same_process(host):
    """CMD: NA under a known PID and start is the process remembered, not a new one."""
    first = host.read(NOW, row())[0].identity
    assert host.read(NOW + 5, row(etime="01:05", cmd="NA"))[0].identity == first
    assert host.read(NOW + 10, row(etime="01:10"))[0].identity == first


def test_nobodys_command_line_is_kept(host):
    """Sightings are kept on disk: they hold a digest of a command, never the command."""
    host.read(NOW, row(cmd="python --token Xq7canary"))
    assert "canary" not in repr(host.sightings)


def test_a_list_with_owners_is_believed(host):
    """`ps --all` of another machine: rows of the user's name are one's own, the others' are not."""
    header = "GPU=0  MEM=1MiB  PID={}  ETIME=00:10  USER={}  TYPE={}\n"
    mine, alice, nobody = host.read(
        NOW, header.format(1, "u", "C"), header.format(2, "alice", "G"), header.format(3, "?", "C")
    )
    assert (mine.mine, alice.mine, nobody.mine) == (True, False, None)
    assert alice.kinds == {ProcessKind.GRAPHICS}
