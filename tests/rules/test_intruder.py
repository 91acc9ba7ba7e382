"""Someone else on my GPU: who is told of, where, and what is left out."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import GONE, UNKNOWN, Limits, ProcessScope, Severity, UseLimits
from gpuwatch_tray.rules import RULES, RuleHistory
from tests.rules.readings import WELL, gpu, judged
from tests.support.fakes import process, snapshot

MINE = process(1, 0)
BOB = process(2, 0, mine=False, memory=4 * 2**30)


@pytest.mark.parametrize(
    ("processes", "subjects"),
    [
        ([MINE, BOB], ["GPU-0000/bob"]),
        # on a GPU of their own nobody intrudes
        ([MINE, process(2, 1, mine=False)], []),
        ([BOB], []),
        # one alert for each user, however many processes
        ([MINE, BOB, process(3, 0, mine=False)], ["GPU-0000/bob"]),
        ([MINE, BOB, process(3, 0, mine=False, user="eve")], ["GPU-0000/bob", "GPU-0000/eve"]),
        # and for each GPU
        ([MINE, BOB, process(1, 1), process(4, 1, mine=False)], ["GPU-0000/bob", "GPU-0001/bob"]),
        # a desktop is no computation, neither theirs nor mine
        ([MINE, process(2, 0, mine=False, kinds="G")], []),
        ([process(1, 0, kinds="G"), BOB], []),
        # whose it is cannot be told
        ([MINE, process(2, 0, mine=None)], []),
        # somebody else for sure, without a name
        ([MINE, process(2, 0, mine=False, user=UNKNOWN)], ["GPU-0000/?"]),
        # on a GPU that cannot be told
        ([MINE, process(2, None, mine=False)], []),
        # what never counts
        ([MINE, process(2, 0, mine=False, name="Xorg")], []),
    ],
)
def test_who_intrudes(processes, subjects):
    """Another user's compute process on a GPU that one of mine computes on, by GPU and user."""
    found = judged("intruder", WELL, gpu(1), processes=processes, limits=Limits(ignore=frozenset({"xorg"})))
    assert [finding.subject for finding in found.findings] == subjects
    assert {finding.severity for finding in found.findings} <= {Severity.INFO}


def test_memory_of_a_process_that_is_gone_is_nobody_s_use():
    """The driver still lists its PID: that is memory to be freed, and not somebody else on my GPU."""
    gone = process(2, 0, mine=False, user=GONE, memory=4 * 2**30)
    found = judged("intruder", processes=[MINE, gone])
    (finding,) = found.findings
    assert (
        finding.text
        == "Memory of GPU 0, which you use too, is held by a process that is gone (PID 2, 4.0 GiB)"
    )
    assert finding.reason == "HELD_BY_GONE(GPU 0: PID 2)"
    assert found.value == "no one else on your GPUs"


@pytest.mark.parametrize("name", ["nvidia-cuda-mps-server", "nvidia-cuda-mps"])
def test_an_mps_server_is_no_job(name):
    """It holds a context for its clients, and those are listed themselves."""
    server, client = process(2, 0, mine=False, name=name), process(3, 0, mine=False, kinds="M")
    assert judged("intruder", processes=[MINE, server]).findings == ()
    assert [one.pid for one in snapshot(MINE, server, client).computing] == [1, 3]


def test_it_is_told_in_a_sentence_without_arguments():
    """The other's program is gpu_name, and how many more there are; their command line is not."""
    secret = process(2, 0, mine=False, memory=4 * 2**30, command=("python", "--token", "canary"))
    (finding,) = judged("intruder", processes=[MINE, secret, process(3, 0, mine=False)]).findings
    assert finding.text == "bob uses GPU 0, which you use too: python (PID 2, 4.0 GiB) and 1 more"
    assert finding.reason == "INTRUDER(GPU 0: bob, 2 PROCESSES)"


def test_on_a_mig_device_only_who_is_on_the_same_one():
    """Two users on two parts of a GPU do not share it."""
    parts = [replace(WELL, uuid=f"MIG-{n}", physical="GPU-0000") for n in "ab"]
    mine, theirs = process(1, 0, device="MIG-a"), process(2, 0, mine=False, device="MIG-b")
    assert judged("intruder", *parts, processes=[mine, theirs]).findings == ()
    same = process(2, 0, mine=False, device="MIG-a")
    assert [f.subject for f in judged("intruder", *parts, processes=[mine, same]).findings] == ["MIG-a/bob"]


def test_a_list_that_failed_leaves_its_gpu_open():
    """While the processes of a GPU cannot be read, nobody has left it."""
    found = judged("intruder", gpu(process_problem="Unknown Error"), gpu(1))
    assert found.cannot_tell("GPU-0000/bob")
    assert not found.cannot_tell("GPU-0001/bob")


def test_it_can_be_switched_off():
    """INTRUDER=off."""
    off = Limits(use=UseLimits(intruder=False))
    assert RULES["intruder"].judge(snapshot(MINE, BOB), off, RuleHistory()).findings == ()


def test_an_owner_that_cannot_be_told_is_no_departure():
    """Who may be anybody leaves that GPU open, and nobody says that there is nobody else."""
    found = judged("intruder", WELL, gpu(1), processes=[MINE, process(2, 0, mine=None)])
    assert found.cannot_tell("GPU-0000/bob")
    assert not found.cannot_tell("GPU-0001/bob")
    assert judged("intruder", processes=[MINE, process(2, None, mine=None)]).cannot_tell("GPU-0000/bob")


def test_where_owners_do_not_matter_it_only_cannot_fire():
    """PROCESS_SCOPE=all is the mend for owners that cannot be told: it must not leave the icon grey."""
    found = judged("intruder", processes=[process(2, 0, mine=None)], limits=Limits(scope=ProcessScope.ALL))
    assert (found.findings, found.unknown, found.value) == ((), None, "")
    assert found.cannot == ("the owners of the processes are not known here",)


def test_how_many_others_there_are_is_counted_by_person():
    """One of them on two GPUs is one."""
    rows = [MINE, BOB, process(1, 1), process(4, 1, mine=False)]
    assert judged("intruder", WELL, gpu(1), processes=rows).value == "1 other user on your GPUs"
    assert judged("intruder", processes=[MINE]).value == "no one else on your GPUs"
