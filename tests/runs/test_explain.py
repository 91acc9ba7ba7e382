"""Why a run ended: which error counts, what the machine adds, and what a person reads of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray import i18n
from gpuwatch_tray.model import Xid
from gpuwatch_tray.model.units import local_time
from gpuwatch_tray.runs import (
    Confidence,
    Exited,
    FolderSpace,
    Kind,
    MemoryHolder,
    RunFacts,
    RunGpu,
    Signalled,
    Unseen,
)
from gpuwatch_tray.runs.explanation import explain_end

ENDED = 1_760_000_000.0
GIB = 2**30
OOM = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 1 has a total capacity of"
    " 23.65 GiB of which 1.10 GiB is free."
)
STEPS = "".join(f"step {step} loss {2 / (step + 1)}\n" for step in range(5))


LINES = [
    OOM,
    *STEPS.splitlines(),
    "Traceback (most recent call last):",
    '  File "a.py", line 1',
    "    f()",
    "KeyError",
]
LINES += [
    "^C",
    "Killed",
    "[rank1]: ValueError: x",
    "port: , in use",
    "allocate  bytes",
    "\x1b[0m",
    "│ x",
    "os error",
]


def traceback(line, rank=""):
    """Return a traceback that ends in `line`."""
    text = f'Traceback (most recent call last):\n  File "train.py", line 3, in main\n    step()\n{line}\n'
    return "".join(f"{rank}{part}\n" for part in text.splitlines())


def facts(**fields):
    return RunFacts(ended=ENDED, **fields)


# ---- which error counts


def test_the_first_error_counts_and_not_the_launchers_summary():
    """A launcher's own traceback at the end says nothing of the cause."""
    log = traceback("KeyError: 'labels'") + traceback(
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:"
    )
    cause = explain_end(log + "  exitcode  : 1 (pid: 77)\n", Exited(1))
    assert (cause.kind, cause.evidence) == (Kind.EXCEPTION, "KeyError: 'labels'")


def test_of_chained_exceptions_the_first_counts():
    """What went wrong while the first error was handled is not the cause."""
    log = traceback(OOM) + "\nDuring handling of the above exception, another exception occurred:\n\n"
    log += traceback("FileNotFoundError: [Errno 2] No such file or directory: 'emergency.pt'")
    assert explain_end(log, Exited(1)).kind is Kind.GPU_MEMORY


def test_an_error_that_names_a_cause_counts_more_than_a_plain_one_before_it():
    """A KeyError that leads to a missing file is not the cause."""
    log = (
        traceback("KeyError: 'path'")
        + "\nDuring handling of the above exception, another exception occurred:\n\n"
    )
    log += traceback("FileNotFoundError: [Errno 2] No such file or directory: 'b.yaml'")
    cause = explain_end(log, Exited(1))
    assert (cause.kind, cause.sentence) == (Kind.MISSING_FILE, "b.yaml does not exist")


def test_an_error_of_one_rank_counts_more_than_the_time_out_of_the_others():
    """The ranks that waited in vain only follow from the one that failed."""
    log = traceback(OOM, "[rank3]: ")
    log += (
        "[rank0]:[E213 ProcessGroupNCCL.cpp:632] [Rank 0] Watchdog caught collective operation timeout: x\n"
    )
    cause = explain_end(log, Exited(1))
    assert (cause.kind, cause.rank) == (Kind.GPU_MEMORY, "3")


def test_a_rank_that_a_signal_ended_is_why_the_others_lost_it():
    """The launcher's word that a rank was killed explains the broken connections of the others."""
    lost = traceback("RuntimeError: [../gloo/transport/tcp/pair.cc:598] Connection closed by peer [::1]:17")
    killed = "failed (exitcode: -9) local_rank: 1 (pid: 77) of binary: python\n"
    assert explain_end(lost, Exited(1)).kind is Kind.COMMUNICATION
    assert explain_end(lost + killed, Exited(1)).kind is Kind.KILLED
    assert explain_end(lost + killed, Exited(1), facts(oom_kills=1)).kind is Kind.HOST_MEMORY
    assert explain_end(lost + killed.replace("-9", "-11"), Exited(1)).kind is Kind.CRASH
    assert explain_end(lost + killed.replace("-9", "-6"), Exited(1)).kind is Kind.COMMUNICATION


def test_the_rank_that_timed_out_first_is_named():
    """Of many time-outs the first rank in the log is told."""
    line = (
        "[E ProcessGroupNCCL.cpp:458] [Rank {}] Watchdog caught collective operation timeout: WorkNCCL(x)\n"
    )
    cause = explain_end(line.format(7) + line.format(0), Exited(1))
    assert cause.kind is Kind.COMMUNICATION
    assert cause.rank == "7"
    assert "rank 7" in cause.sentence


def test_an_error_that_the_program_survived_is_not_the_cause():
    """After a traceback the steps went on: the later error counts, and without one nothing is known."""
    survived = traceback("requests.exceptions.ConnectionError: Max retries exceeded with url: /a") + STEPS
    assert explain_end(survived + traceback("KeyError: 'x'"), Exited(1)).kind is Kind.EXCEPTION
    assert explain_end(survived, Exited(1)).kind is Kind.UNKNOWN
    assert explain_end(survived, Signalled(9)).kind is Kind.KILLED


def test_the_progress_of_another_rank_does_not_undo_an_error():
    """Rank 0 goes on printing for a while after rank 3 failed."""
    log = traceback(OOM, "[rank3]: ") + "".join(f"[rank0]: {line}\n" for line in STEPS.splitlines())
    assert explain_end(log, Exited(1)).kind is Kind.GPU_MEMORY


def test_what_a_command_of_a_script_complained_of_is_not_the_cause_of_what_came_later():
    """A script goes on after a command that is missing; where nothing else is known, that is the cause."""
    complaint = "run.sh: line 2: conda: command not found\n"
    assert explain_end(complaint, Exited(127)).kind is Kind.MISSING_FILE
    assert explain_end(complaint + traceback(OOM), Exited(1)).kind is Kind.GPU_MEMORY
    assert explain_end(complaint + traceback("KeyError: 'x'"), Exited(1)).kind is Kind.EXCEPTION
    assert (
        explain_end(complaint + "run.sh: line 3: 77 Killed      python a.py\n", Exited(137)).kind
        is Kind.KILLED
    )
    removed = "rm: cannot remove 'old': No such file or directory\n"
    assert explain_end(removed, Exited(137), facts(oom_kills=1)).kind is Kind.HOST_MEMORY
    assert explain_end(removed, Exited(1)).kind is Kind.MISSING_FILE


@pytest.mark.parametrize(
    "line",
    [
        "slurmstepd: error: couldn't chdir to `/x': No such file or directory: going to /tmp instead",
        "OSError: [Errno 98] Address already in use: port 6006, trying another",
        "WARNING: CUDA out of memory. Tried to allocate 2 GiB, retrying with batch size 32",
        "UserWarning: CUDA error: out of memory (Triggered internally)",
        "[W socket.cpp:426] [c10d] The socket has failed to bind (errno: 98 - Address already in use).",
        "INFO: No space left on device was seen by nobody",
    ],
)
def test_a_warning_is_not_the_cause(line):
    """A line that says itself that the program goes on explains nothing."""
    assert explain_end(line + "\nstep 1\n", Exited(1)).kind is Kind.UNKNOWN


def test_a_source_line_is_no_error():
    """Source code inside a traceback is not searched."""
    log = traceback("SystemExit: 3").replace("step()", 'raise MemoryError("x")')
    assert explain_end(log, Exited(3)).kind is Kind.EXCEPTION


# ---- success


def test_exit_0_is_success_whatever_the_log_says():
    """Words such as error or out of memory do not make a failure of it."""
    log = "CUDA error: out of memory\nretry with less\n0 errors\nnan_to_num\nOK\n"
    cause = explain_end(log, Exited(0))
    assert (cause.kind, cause.failed, cause.swallowed) == (Kind.SUCCESS, False, None)


def test_a_script_that_swallowed_its_last_error_is_told_of():
    """A traceback as the very last thing of a run with exit code 0 is named, and it stays a success."""
    cause = explain_end(STEPS + traceback("ModuleNotFoundError: No module named 'einops'"), Exited(0))
    assert (cause.kind, cause.swallowed, cause.failed) == (Kind.SUCCESS, Kind.MISSING_MODULE, False)
    assert cause.evidence == "ModuleNotFoundError: No module named 'einops'"
    assert cause.sentence != explain_end(STEPS, Exited(0)).sentence


# ---- what the machine adds


def test_who_held_the_memory_is_named():
    """The sentence has what was asked for, what was free, and who held the rest since when."""
    holder = MemoryHolder("GPU-b", "alice", "python", 4711, 18 * GIB, ENDED - 3600)
    cause = explain_end(traceback(OOM), Exited(1), facts(holders=(holder,)))
    assert cause.kind is Kind.GPU_MEMORY
    since = local_time(ENDED - 3600, "%H:%M:%S")
    assert cause.sentence.startswith("GPU 1 ran out of memory: 2.0 GiB asked for, 1.1 GiB free; ")
    assert cause.sentence.endswith(f"alice's python (PID 4711) held 18.0 GiB, since {since}")
    assert cause.fix == "wait until the other process has ended, or use another GPU"


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7406166528 bytes.", "6.9 GiB"),
        ("cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 8,589,934,592 bytes", "8.0 GiB"),
        ("RuntimeError: CUDA out of memory. Tried to allocate 512.00 MiB (GPU 0; 2.00 GiB total)", "512 MiB"),
    ],
)
def test_the_amount_is_read_from_every_framework(line, asked):
    """Bytes, grouped digits and binary units are read."""
    assert f": {asked} asked for" in explain_end(line, Exited(1)).sentence


def test_an_xid_is_named_with_its_meaning_and_gpu():
    """A fault of the hardware explains a CUDA error that says nothing, and ranks that waited for that GPU."""
    told = facts(xids=(Xid("GPU-a", 119, ENDED - 5),), gpus=(RunGpu("GPU 0", "GPU-a"),))
    for line in (
        "RuntimeError: CUDA error: unknown error",
        "RuntimeError: CUDA error: unspecified launch failure",
    ):
        cause = explain_end(traceback(line), Exited(1), told)
        assert (cause.kind, cause.confidence) == (Kind.XID, Confidence.CERTAIN)
        assert "Xid 119 on GPU 0" in cause.sentence
        assert cause.sentence.endswith("its system processor (GSP) does not answer")
    late = facts(xids=(Xid("GPU-a", 74, ENDED - 700),))
    timeout = "[Rank 1] Watchdog caught collective operation timeout: WorkNCCL(x)"
    assert explain_end(timeout, Exited(1), late).kind is Kind.XID


def test_an_xid_that_follows_from_a_kernel_does_not_replace_what_the_log_says():
    """Xid 31 beside an illegal memory access says the same; the log says it better."""
    told = facts(xids=(Xid("GPU-a", 31, ENDED - 1),))
    log = traceback("RuntimeError: CUDA error: an illegal memory access was encountered")
    assert explain_end(log, Exited(1), told).kind is Kind.ILLEGAL_ACCESS
    assert explain_end(traceback("KeyError: 'x'"), Exited(1), told).kind is Kind.EXCEPTION


def test_a_lost_gpu_explains_what_followed():
    """The GPU that the driver lost is named, whatever CUDA or NCCL said afterwards."""
    told = facts(gpus=(RunGpu("GPU 2", "GPU-c", lost=True),))
    for log in (
        traceback("RuntimeError: CUDA error: unknown error"),
        "DistBackendError: NCCL error in: x",
        "",
    ):
        cause = explain_end(log, Exited(1), told)
        assert (cause.kind, cause.sentence) == (Kind.GPU_LOST, "GPU 2 was lost: it no longer answers")
    assert explain_end(traceback("KeyError: 'x'"), Exited(1), told).kind is Kind.EXCEPTION


@pytest.mark.parametrize("end", [Signalled(9), Exited(137), Unseen()])
def test_a_kill_for_memory_is_told_by_the_cgroup_or_the_kernel(end):
    """A SIGKILL with an OOM kill is the host's memory; without one nobody knows who sent it."""
    line = "Memory cgroup out of memory: Killed process 12 (python) total-vm:9kB"
    for told in (facts(oom_kills=1), facts(kernel_lines=(line,))):
        cause = explain_end(STEPS, end, told)
        assert (cause.kind, cause.confidence) == (Kind.HOST_MEMORY, Confidence.CERTAIN)
    expected = Kind.UNKNOWN if isinstance(end, Unseen) else Kind.KILLED
    assert explain_end(STEPS, end, facts()).kind is expected


def test_a_worker_that_the_kernel_killed_died_of_the_memory():
    """The data loader names the signal; the cgroup names the cause."""
    log = traceback("RuntimeError: DataLoader worker (pid 12) is killed by signal: Killed. ")
    alone = explain_end(log, Exited(1))
    assert (alone.kind, "Killed" in alone.sentence) == (Kind.DATA_WORKER, True)
    assert explain_end(log, Exited(1), facts(oom_kills=1)).kind is Kind.HOST_MEMORY


def test_a_full_disk_explains_a_failed_write_only():
    """An I/O error while a folder is full is the disk; any other error is not."""
    told = facts(full=(FolderSpace("/scratch", 0),))
    cause = explain_end(traceback("OSError: [Errno 5] Input/output error"), Exited(1), told)
    assert (cause.kind, cause.sentence) == (Kind.DISK_FULL, "the disk with /scratch was full")
    assert explain_end(traceback("KeyError: 'x'"), Exited(1), told).kind is Kind.EXCEPTION


def test_a_bus_error_with_full_shared_memory_is_that():
    """SIGBUS alone is a crash."""
    assert explain_end("", Signalled(7), facts(full=(FolderSpace("/dev/shm", 0),))).kind is Kind.SHARED_MEMORY
    assert explain_end("", Signalled(7)).kind is Kind.CRASH


@pytest.mark.parametrize(
    ("end", "fields", "kind"),
    [
        (Signalled(15), {"deadline": ENDED - 1}, Kind.TIME_LIMIT),
        (Signalled(15), {"deadline": ENDED + 9000}, Kind.STOPPED),
        (Signalled(15), {"session_ended": True}, Kind.LOGOUT),
        (Signalled(15), {"sender": "alice (PID 12)"}, Kind.STOPPED),
        (Signalled(9), {"sender": "alice (PID 12)"}, Kind.STOPPED),
        (Signalled(1), {}, Kind.LOGOUT),
        (Signalled(2), {}, Kind.STOPPED),
        (Signalled(11), {}, Kind.CRASH),
        (Exited(139), {}, Kind.CRASH),
        (Exited(124), {"command": ("/usr/bin/timeout", "8h", "python")}, Kind.TIME_LIMIT),
        (Exited(137), {"command": ("timeout", "-s", "KILL", "8h", "python")}, Kind.TIME_LIMIT),
        (Exited(137), {"command": ("python", "timeout.py")}, Kind.KILLED),
        (Exited(0xC0000005), {}, Kind.CRASH),
        (Exited(0xC000013A), {}, Kind.STOPPED),
        (Exited(0xC0000005 - 2**32), {}, Kind.CRASH),
    ],
)
def test_who_ended_it_follows_from_the_signal_and_the_facts(end, fields, kind):
    """A deadline, a login that ended and a known sender explain a signal, in this order."""
    assert explain_end(STEPS, end, facts(**fields)).kind is kind


def test_an_error_before_the_signal_is_the_cause():
    """A run that hung after an error and was then stopped by hand ended of the error."""
    log = traceback(OOM, "[rank1]: ") + "^C" + traceback("KeyboardInterrupt")
    assert explain_end(log, Signalled(2)).kind is Kind.GPU_MEMORY


def test_an_end_that_was_not_seen_is_told_as_that():
    """Only facts can explain it; full memory is a hint, and no cause."""
    full = facts(gpus=(RunGpu("GPU 0", "GPU-a", full=True),))
    cause = explain_end("", Unseen(), full)
    assert (cause.kind, cause.confidence) == (Kind.UNKNOWN, Confidence.POSSIBLE)
    assert "the memory of GPU 0 was full before" in cause.sentence
    assert explain_end("", Unseen(), facts(xids=(Xid("GPU-a", 31, ENDED - 3),))).kind is Kind.XID


def test_a_kill_of_the_kernel_nearby_is_only_probable():
    """It killed some process of the machine as this one ended by SIGKILL, or unseen; not where it exited."""
    for end in (Signalled(9), Unseen()):
        cause = explain_end(STEPS, end, facts(machine_kills=1))
        assert (cause.kind, cause.confidence) == (Kind.HOST_MEMORY, Confidence.POSSIBLE)
        assert cause.sentence == "probably: the machine ran out of memory, and the kernel killed it"
    assert explain_end(STEPS, Exited(1), facts(machine_kills=1)).kind is Kind.UNKNOWN
    assert explain_end(STEPS, Signalled(9), facts(oom_kills=1)).sentence.startswith(
        "it reached its memory limit"
    )


def test_the_unknown_is_told_as_unknown_with_the_last_line():
    """Nothing is made up where nothing is known."""
    cause = explain_end("start\nlast words\n", Exited(3))
    assert (cause.kind, cause.evidence, cause.fix) == (Kind.UNKNOWN, "last words", "")
    assert cause.sentence == "it ended with exit code 3; the cause is not known"
    assert "SIGUSR1" in explain_end("", Signalled(10)).sentence


# ---- what a person reads


def test_the_evidence_is_redacted_and_short():
    """A token in the line that shows the error is hidden, also where it begins a line above."""
    log = traceback("OSError: [Errno 28] No space left on device: 's3://x?token=hf_" + "aB3" * 12 + "'")
    cause = explain_end(log, Exited(1))
    assert cause.kind is Kind.DISK_FULL
    assert "aB3aB3" not in cause.evidence
    assert len(explain_end(traceback("ValueError: " + "x " * 900), Exited(1)).evidence) <= 300


def test_a_bare_assertion_shows_what_was_asserted():
    """An AssertionError without a message is shown with its source line."""
    log = (
        'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    assert x > 0\nAssertionError\n'
    )
    assert explain_end(log, Exited(1)).evidence == "AssertionError: assert x > 0"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("ModuleNotFoundError: No module named 'flash_attn'", "the module flash_attn is missing"),
        (
            "ImportError: libcudart.so.11.0: cannot open shared object file: x",
            "the library libcudart.so.11.0 is missing",
        ),
        (
            "RuntimeError: port: 29500, code: -98, name: EADDRINUSE, message: address already in use",
            "port 29500 is in use",
        ),
        ("OSError: [Errno 122] Disk quota exceeded", "the disk quota was used up"),
        ("OSError: libfoo.so: file too short", "the library libfoo.so is not compatible"),
        ("bash: line 1: accelerate: command not found", "accelerate does not exist"),
        (
            "OSError: [Errno 28] No space left on device: '/scratch/a.pt'",
            "the disk with /scratch/a.pt was full",
        ),
        ("E0105 08:00:01.0 1 a.cc:1] 0.0.0.0:8001: Address already in use", "port 8001 is in use"),
        ("ValueError: too few", "it stopped at an error: ValueError"),
        (
            "RuntimeError: DataLoader worker (pid(s) 12) exited unexpectedly",
            "one of its worker processes died",
        ),
    ],
)
def test_the_sentence_names_what_it_is_about(line, sentence):
    """The module, the library, the port, the exception are in the sentence."""
    assert explain_end(traceback(line), Exited(1)).sentence == sentence


@given(
    log=st.binary(max_size=400) | st.lists(st.sampled_from(LINES), max_size=12).map("\n".join),
    end=st.builds(Exited, st.integers(0, 255)) | st.builds(Signalled, st.integers(1, 64)) | st.just(Unseen()),
    kills=st.integers(0, 2),
    lost=st.booleans(),
)
def test_any_log_and_any_end_are_explained(log, end, kills, lost):
    """Nothing that a program writes makes it fail; only exit code 0 is a success; the same gives the same."""
    told = facts(oom_kills=kills, gpus=(RunGpu("GPU 0", "GPU-a", lost=lost),))
    cause = explain_end(log, end, told)
    assert cause.sentence
    assert cause.failed == (end != Exited(0))
    assert cause == explain_end(log, end, told)


def test_the_sentence_is_translated():
    """The cause is told in the language of the process."""
    i18n.set_language(i18n.CHINESE)
    try:
        cause = explain_end(traceback("ModuleNotFoundError: No module named 'flash_attn'"), Exited(1))
    finally:
        i18n.set_language(i18n.ENGLISH)
    assert "flash_attn" in cause.sentence
    assert "模块" in cause.sentence
    assert not cause.fix.isascii()
