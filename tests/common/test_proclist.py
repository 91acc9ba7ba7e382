"""The process list: the Bash tool's layout to the letter, there and back, and as JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.common.proclist import (
    BadLine,
    Listing,
    all_text,
    elapsed_text,
    listing_json,
    own_text,
    parse_elapsed,
    parse_listing,
    process_header,
    totals_text,
    type_text,
)
from gpuwatch_tray.model import (
    UNKNOWN,
    UNSUPPORTED,
    ClockLimit,
    Gpu,
    GpuProcess,
    Missing,
    Problem,
    ProcessKind,
    Snapshot,
    Why,
)
from tests.support.documentation import read

COMPUTE = frozenset({ProcessKind.COMPUTE})
BASH = """\
GPU=0  MEM=2828MiB  PID=2943615  ETIME=03:34
  CWD: /home/user/my project
  CMD: python train.py --name GPU=3  MEM

GPU=?  MEM=[N/A]MiB  PID=17  ETIME=NA
  CWD: NA
  CMD: NA

""".replace("GPU=3  MEM", "GPU=3 MEM")
OWN = (
    GpuProcess(
        pid=2943615,
        gpu=0,
        kinds=COMPUTE,
        memory=2828 * 2**20 + 5000,
        mine=True,
        elapsed=214.9,
        cwd="/home/user/my project",
        command=("python", "train.py", "--name", "GPU=3\n", " MEM ", ""),
        name="python",
    ),
    GpuProcess(pid=17, gpu=None, kinds=COMPUTE, mine=True),
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "00:00"),
        (59.99, "00:59"),
        (214.0, "03:34"),
        (3599, "59:59"),
        (3600, "01:00:00"),
        (32400, "09:00:00"),
        (86399, "23:59:59"),
        (86400, "1-00:00:00"),  # procps: %u-%02u:%02u:%02u
        (93784, "1-02:03:04"),
        (86400 * 400 + 61, "400-00:01:01"),
        (-3.0, "00:00"),
        (UNKNOWN, "NA"),
        (Missing(Why.ERROR, "gone"), "NA"),
    ],
)
def test_elapsed_time_as_ps_prints_it(seconds, text):
    """Elapsed time is [[DD-]hh:]mm:ss of whole seconds, NA where unknown."""
    assert elapsed_text(seconds) == text


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("ps") is None, reason="needs procps")
def test_elapsed_time_is_what_the_real_ps_says():
    """For this very process the text is the one of ps."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    started = ticks / os.sysconf("SC_CLK_TCK")
    ps = subprocess.run(
        ["ps", "-o", "etime=", "-p", str(os.getpid())], capture_output=True, text=True, check=True
    )
    age = float(Path("/proc/uptime").read_text().split()[0]) - started
    # ps looked a moment before, and rounds either time by itself.
    assert ps.stdout.strip() in {elapsed_text(max(0.0, age - back)) for back in (-1, 0, 1, 2)}


@given(st.integers(0, 86400 * 3000))
def test_elapsed_time_comes_back(seconds):
    """Every printed elapsed time is read back as the seconds it was."""
    assert parse_elapsed(elapsed_text(seconds)) == seconds


@pytest.mark.parametrize(
    "text", ["1h23", "12", "1:2:3:4", "-03:04", "aa:bb", "\u0660\u0661:\u0660\u0662", "1-03:04", "1.5:00"]
)
def test_what_is_no_elapsed_time_is_unknown(text):
    """A text that ps would not print is unknown and keeps the text as its cause."""
    assert parse_elapsed(text) == Missing(Why.UNKNOWN, text)


def test_na_and_nothing_are_unknown_elapsed_times():
    """NA and an empty field are plainly unknown."""
    assert parse_elapsed("NA") == UNKNOWN
    assert parse_elapsed(" ") == UNKNOWN


def test_own_processes_are_listed_as_the_bash_tool_did():
    """Header, CWD, CMD with collapsed white space, and an empty line after each process."""
    assert own_text(OWN, redacted=False) == BASH
    assert own_text((), redacted=False) == ""
    assert own_text((), redacted=True) == ""


def test_memory_is_in_whole_mebibytes_and_zero_is_a_number():
    """MEM is rounded down as nvidia-smi does; nothing used is 0, not N/A."""
    for memory, text in ((0, "0"), (2**20 - 1, "0"), (2**20, "1"), (UNSUPPORTED, "[N/A]")):
        assert (
            process_header(GpuProcess(1, 0, COMPUTE, memory=memory))
            == f"GPU=0  MEM={text}MiB  PID=1  ETIME=NA"
        )


SECRET = GpuProcess(
    pid=4,
    gpu=1,
    kinds=frozenset({ProcessKind.GRAPHICS, ProcessKind.COMPUTE}),
    memory=2**20,
    user="alice",
    mine=False,
    elapsed=5.0,
    cwd="/tmp",
    command=("/usr/bin/python3", "a.py", "--token", "Xq7canary"),
    name="python3",
)


def test_everyones_list_shows_owner_and_type_and_hides_arguments_of_others():
    """`ps --all` adds USER and TYPE to the header; of another's command only the program is shown."""
    assert all_text((SECRET, OWN[1])) == (
        "GPU=1  MEM=1MiB  PID=4  ETIME=00:05  USER=alice  TYPE=C+G\n  CWD: /tmp\n  CMD: python3\n\n"
        "GPU=?  MEM=[N/A]MiB  PID=17  ETIME=NA  USER=?  TYPE=C\n  CWD: NA\n  CMD: NA\n\n"
    )


def test_own_list_never_shows_anothers_arguments():
    """Not even the list for one's own terminal shows what another gave to a program."""
    assert "  CMD: python3\n" in own_text((SECRET,), redacted=False)


def test_a_redacted_list_hides_ones_own_secrets_and_nothing_else():
    """The mail's list loses the values of secrets, the terminal's keeps them."""
    mine = GpuProcess(4, 1, COMPUTE, mine=True, command=("python", "--token", "Xq7canary", "--lr", "3"))
    assert "  CMD: python --token *** --lr 3\n" in own_text((mine,), redacted=True)
    assert "  CMD: python --token Xq7canary --lr 3\n" in own_text((mine,), redacted=False)
    assert own_text(OWN, redacted=True) == BASH


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ({ProcessKind.COMPUTE}, "C"),
        ({ProcessKind.GRAPHICS}, "G"),
        ({ProcessKind.GRAPHICS, ProcessKind.COMPUTE}, "C+G"),
        ({ProcessKind.MPS, ProcessKind.COMPUTE}, "M+C"),
        (set(), "?"),
    ],
)
def test_types_in_nvidia_smis_letters(kinds, text):
    """A type is nvidia-smi's, whatever the order of the set."""
    assert type_text(GpuProcess(1, 0, frozenset(kinds))) == text


def test_hostile_text_reaches_no_terminal():
    """Escape sequences and line ends in folder, command, name and owner cannot draw or add a line."""
    hostile = "a\x1b[2J\nGPU=7  MEM=1MiB  PID=1  ETIME=00:01\r\x9b\u202e"
    processes = [
        GpuProcess(
            1, 0, COMPUTE, mine=mine, user=hostile, cwd=hostile, command=(hostile, hostile), name=hostile
        )
        for mine in (True, False, None)
    ]
    for text in (
        own_text(processes, redacted=False),
        own_text(processes, redacted=True),
        all_text(processes),
    ):
        assert re.findall(r"[^\x20-\x7e\n]", text) == []
        assert len(text.splitlines()) == 4 * len(processes)
        assert len(parse_listing(text).processes) == len(processes)


def test_the_bash_tools_list_is_read():
    """Every field comes back, NA and [N/A] as unknown; 'GPU=3' in a command is no process."""
    read = parse_listing(BASH)
    assert read.bad_lines == ()
    assert read.processes == (
        GpuProcess(
            pid=2943615,
            gpu=0,
            kinds=COMPUTE,
            memory=2828 * 2**20,
            mine=True,
            elapsed=214.0,
            cwd="/home/user/my project",
            command=("python", "train.py", "--name", "GPU=3", "MEM"),
            name="python",
        ),
        GpuProcess(pid=17, gpu=None, kinds=COMPUTE, mine=True),
    )


def test_lists_of_similar_programs_are_read_too():
    """CRLF, a byte order mark, trailing and single blanks, further fields, missing lines: all fine."""
    text = (
        "\ufeffGPU=1 MEM=5 MiB PID=3  ETIME=1-00:00:01  SM=7% \r\n\r\n"
        "GPU=2  MEM=1MiB  PID=4\r\n  CWD:\r\n  X: y\r\n"
    )
    read = parse_listing(text)
    assert read.bad_lines == ()
    assert [(p.gpu, p.pid, p.memory, p.elapsed, p.cwd) for p in read.processes] == [
        (1, 3, 5 * 2**20, 86401.0, UNKNOWN),
        (2, 4, 2**20, UNKNOWN, UNKNOWN),
    ]


def test_a_value_that_is_none_is_unknown_and_says_what_it_was():
    """A MEM or ETIME that is no number is unknown, as it was to the Bash tool; the process is still there."""
    (process,) = parse_listing("GPU=1  MEM=lots  PID=3  ETIME=soon").processes
    assert process.memory == Missing(Why.UNKNOWN, "lots")
    assert process.elapsed == Missing(Why.UNKNOWN, "soon")


@pytest.mark.parametrize(
    "line",
    [
        "GPU=x  MEM=1MiB  PID=3  ETIME=00:01",
        "GPU=  MEM=1MiB  PID=3  ETIME=00:01",
        "GPU=0,1  MEM=1MiB  PID=3  ETIME=00:01",
        "GPU=-1  MEM=1MiB  PID=3  ETIME=00:01",
        "GPU=1  MEM=1MiB  PID=?  ETIME=00:01",
        "GPU=1  MEM=1MiB",
        "GPU=1",
        "GPU =1  MEM=1MiB  PID=3  ETIME=00:01",
        "  GPU=1  MEM=1MiB  PID=3  ETIME=00:01",
        "GPU=1  MEM=1MiB  PI",
    ],
)
def test_a_first_line_that_cannot_be_understood_is_reported(line):
    """What may have been a process is a bad line with its number, and its details go to nobody else."""
    read = parse_listing(f"{BASH}{line}\n  CWD: /wrong\n  CMD: wrong\n\n{BASH}")
    assert read.bad_lines == (BadLine(9, line),)
    assert read.processes == parse_listing(BASH).processes * 2
    assert str(read.bad_lines[0]) == f"line 9: {line}"


def test_text_that_is_no_list_is_not_an_empty_list():
    """Only nothing means no processes; a message in its place is reported, beside processes it is ignored."""
    assert parse_listing("") == parse_listing("\n \r\n") == Listing(())
    assert parse_listing("<no gpu processes detected>\n") == Listing(())
    message = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    assert parse_listing(f"\n{message}\n").bad_lines == (BadLine(2, message),)
    assert parse_listing(f"Welcome to host\n{BASH}") == parse_listing(BASH)


WRAPPED = """\
GPU=0  MEM=2828MiB  PID=4711  ETIME=03:34
  CWD: /home/u/run
  CMD: bash -c set -e
GPU=3 python train.py --lr 1
  and an indented line, CWD: no

GPU=1  MEM=100MiB  PID=4712  ETIME=01:00
  CWD: /home/u/run
  CMD: python eval.py

"""


def test_a_command_with_line_breaks_is_one_command():
    """A lister that prints /proc/PID/cmdline wraps it; what has no PID, up to the blank, is a part of it."""
    read = parse_listing(WRAPPED)
    assert read.bad_lines == ()
    assert [(one.pid, one.gpu, one.cwd) for one in read.processes] == [
        (4711, 0, "/home/u/run"),
        (4712, 1, "/home/u/run"),
    ]
    assert " ".join(read.processes[0].command) == (
        "bash -c set -e GPU=3 python train.py --lr 1 and an indented line, CWD: no"
    )


def test_a_list_that_is_cut_in_a_first_line_is_not_a_command_with_a_line_break():
    """Without the blank line after it, what begins like a process may be one."""
    cut = "GPU=0  MEM=1MiB  PID=1  ETIME=00:01\n  CMD: a\nGPU=1  MEM=1MiB  PI"
    assert parse_listing(cut).bad_lines == (BadLine(3, "GPU=1  MEM=1MiB  PI"),)
    assert parse_listing(f"{cut}\nGPU=2  MEM=1MiB  PID=3\n").bad_lines == (BadLine(3, "GPU=1  MEM=1MiB  PI"),)


def test_blanks_after_the_equals_sign_are_taken():
    """A lister that splits nvidia-smi's csv at the comma alone leaves them in."""
    (process,) = parse_listing("GPU= 0  MEM= 2828 MiB  PID= 4711  ETIME=   03:34").processes
    assert (process.gpu, process.pid, process.memory, process.elapsed) == (0, 4711, 2828 * 2**20, 214.0)


@pytest.mark.parametrize(
    "line",
    [
        "No running processes found",
        "|  No running processes found              |",
        "<no gpu processes detected>",
    ],
)
def test_what_lists_say_in_place_of_no_process_is_an_empty_list(line):
    """Of nvidia-smi and of the Bash tool."""
    assert parse_listing(f"{line}\n") == Listing(())


def test_a_gpu_that_the_lister_could_not_ask_is_told_beside_the_others():
    """NVIDIA's own line, before a list; alone it is no list at all."""
    line = "Unable to determine the device handle for GPU0000:0A:00.0: Unknown Error"
    read = parse_listing(f"{line}\n{BASH}")
    assert read.processes == parse_listing(BASH).processes
    assert (read.bad_lines, read.unreadable) == ((), (("0000:0A:00.0", "Unknown Error"),))
    assert parse_listing(line).bad_lines == (BadLine(1, line),)


def test_everyones_list_is_read_with_owner_and_type():
    """USER and TYPE, where a list has them, are believed; whose process it is, the reader has to tell."""
    read = parse_listing(all_text((SECRET, GpuProcess(5, 0, frozenset({ProcessKind.GRAPHICS})))))
    first, second = read.processes
    assert (first.user, first.mine, first.kinds) == ("alice", None, SECRET.kinds)
    assert (second.user, second.mine, second.kinds) == (UNKNOWN, None, frozenset({ProcessKind.GRAPHICS}))


WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
LINES = st.lists(WORDS, min_size=1, max_size=5).filter(lambda words: words != ["NA"])
PROCESSES = st.builds(
    lambda pid, gpu, mib, elapsed, cwd, command: GpuProcess(
        pid=pid,
        gpu=gpu,
        kinds=COMPUTE,
        memory=UNKNOWN if mib is None else mib * 2**20,
        mine=True,
        elapsed=UNKNOWN if elapsed is None else float(elapsed),
        cwd=UNKNOWN if cwd is None else "/" + " ".join(cwd),
        command=UNKNOWN if command is None else tuple(command),
    ),
    st.integers(1, 2**31),
    st.none() | st.integers(0, 99),
    st.none() | st.integers(0, 2**20),
    st.none() | st.integers(0, 10**8),
    st.none() | LINES,
    st.none() | LINES,
)


@given(st.lists(PROCESSES, max_size=6))
def test_a_printed_list_comes_back_the_same(processes):
    """Whatever the processes, printing and reading the list gives the same facts."""
    read = parse_listing(own_text(processes, redacted=False))
    assert read.bad_lines == ()
    facts = [(p.pid, p.gpu, p.kinds, p.memory, p.mine, p.elapsed, p.cwd, p.command) for p in processes]
    assert [
        (p.pid, p.gpu, p.kinds, p.memory, p.mine, p.elapsed, p.cwd, p.command) for p in read.processes
    ] == facts


@given(st.lists(PROCESSES, max_size=4), st.randoms(use_true_random=False))
def test_a_list_cut_anywhere_has_no_fewer_first_lines(processes, random):
    """Of a list cut short inside a line, that line is a process, a bad line, or no first line at all."""
    text = own_text(processes, redacted=False)
    cut = text[: random.randint(0, len(text))]
    read = parse_listing(cut)
    assert len(read.processes) + len(read.bad_lines) >= len(re.findall(r"^GPU=", cut, re.MULTILINE))


@given(st.text(max_size=300))
def test_any_text_can_be_read(text):
    """No text makes the parser fail."""
    parse_listing(text)


AT = 1767821268.12


def test_json_has_every_value_and_every_reason():
    """A known value stands as it is; a missing one is null with its reason in `missing`."""
    gpu = Gpu(
        0,
        "GPU-1",
        name="RTX",
        memory_used=1,
        memory_total=2,
        utilisation=3,
        temperature=4,
        power=5.5,
        power_limit=6.0,
        slowdown_at=90,
        limited_by=ClockLimit.SW_THERMAL | ClockLimit.HW_SLOWDOWN,
        ecc_corrected=0,
        ecc_uncorrected=UNSUPPORTED,
        rows_pending=False,
        rows_failed=True,
        pcie_width=8,
        pcie_width_most=16,
        physical="GPU-0",
    )
    lost = Gpu(
        1,
        "",
        memory_used=Missing(Why.ERROR, "GPU is lost"),
        fan=UNSUPPORTED,
        problem="lost",
        process_problem="p",
    )
    mine = GpuProcess(
        pid=9,
        gpu=0,
        kinds=COMPUTE,
        memory=7,
        user="u",
        mine=True,
        started=AT - 10,
        elapsed=10.0312,  # shown in tenths
        cwd="/x",
        command=("/usr/bin/python3", "a b"),
        device="MIG-1",
    )
    record = json.loads(
        json.dumps(listing_json(Snapshot("nvml", AT, (gpu, lost), simulated=True), (mine, SECRET)))
    )
    assert {key: record[key] for key in ("schema", "source", "simulated", "problem")} == {
        "schema": 1,
        "source": "nvml",
        "simulated": True,
        "problem": None,
    }
    at = datetime.fromisoformat(record["at"])
    assert at.timestamp() == pytest.approx(AT, abs=1e-5)
    assert at.utcoffset() is not None
    assert record["gpus"][0] == {
        "index": 0,
        "uuid": "GPU-1",
        "name": "RTX",
        "memory_used_bytes": 1,
        "memory_total_bytes": 2,
        "utilisation_percent": 3,
        "temperature_c": 4,
        "power_w": 5.5,
        "power_limit_w": 6.0,
        "fan_percent": None,
        "slowdown_c": 90,
        "limited_by": ["hw_slowdown", "sw_thermal"],
        "ecc_corrected": 0,
        "ecc_uncorrected": None,
        "rows_pending": False,
        "rows_failed": True,
        "pcie_width": 8,
        "pcie_width_most": 16,
        "physical": "GPU-0",
        "asleep": False,
        "problem": None,
        "process_problem": None,
        "missing": {"fan_percent": "unknown", "ecc_uncorrected": "unsupported"},
    }
    second = record["gpus"][1]
    assert (second["problem"], second["process_problem"], second["uuid"]) == ("lost", "p", None)
    assert second["missing"]["memory_used_bytes"] == "error: GPU is lost"
    assert second["missing"]["fan_percent"] == "unsupported"
    started = record["processes"][0].pop("started")
    assert datetime.fromisoformat(started).timestamp() == pytest.approx(AT - 10, abs=1e-5)
    assert record["processes"][0] == {
        "gpu": 0,
        "device": "MIG-1",
        "pid": 9,
        "user": "u",
        "mine": True,
        "type": "C",
        "memory_bytes": 7,
        "elapsed_s": 10.0,
        "cwd": "/x",
        "command": ["/usr/bin/python3", "a b"],
        "name": "python3",
        "missing": {},
    }


def test_json_hides_other_peoples_arguments():
    """Another's command is null and said to be redacted; the name stays. So it is for an unknown owner."""
    unowned = GpuProcess(5, None, COMPUTE, command=("/bin/x", "Xq7canary"))
    text = json.dumps(record := listing_json(Snapshot("nvml", AT), (SECRET, unowned)))
    assert "canary" not in text
    first, second = record["processes"]
    assert (first["command"], first["name"], first["mine"]) == (None, "python3", False)
    assert first["missing"] == {"command": "redacted", "started": "unknown"}
    assert (second["name"], second["gpu"], second["mine"], second["type"]) == ("x", None, None, "C")
    assert {key: second["missing"][key] for key in ("gpu", "mine", "command")} == {
        "gpu": "unknown",
        "mine": "unknown",
        "command": "redacted",
    }


def test_json_of_a_source_that_failed_says_so():
    """A problem stands in the record with its mend; the empty lists beside it say nothing."""
    record = listing_json(
        Snapshot("nvml", AT, problem=Problem("no driver", "install it", no_driver=True)), ()
    )
    assert record["problem"] == {"text": "no driver", "mend": "install it", "no_driver": True}
    assert record["gpus"] == record["processes"] == []


def held(pid, gpu, user, mib, identity=""):
    memory = UNKNOWN if mib is None else mib * 2**20
    owner = UNKNOWN if user is None else user
    return GpuProcess(pid, gpu, COMPUTE, memory, user=owner, identity=identity)


SHARED = (
    held(1, 0, "ada", 100),
    held(1, 1, "ada", 50),  # on two GPUs, and one process
    held(2, 1, "bob", 400),
    held(2, 1, "bob", 300, "later"),  # another one with the same number
    held(3, 0, "eve\n", None),
    held(4, None, "ada", None),
    held(5, None, None, None),
)


def test_each_user_has_totals():
    """The largest first, unknown owners last; what is not known is said to be, and no 0."""
    assert totals_text(SHARED) == (
        "USER=bob  GPUS=1  PROCESSES=2  MEM=700MiB\n"
        "USER=ada  GPUS=2+?  PROCESSES=2  MEM=150+?MiB\n"
        "USER=eve\\n  GPUS=1  PROCESSES=1  MEM=[N/A]MiB\n"
        "USER=?  GPUS=?  PROCESSES=1  MEM=[N/A]MiB\n"
    )
    assert totals_text(()) == ""
    users = listing_json(Snapshot("nvml", AT), SHARED, with_users=True)["users"]
    assert users[1] == {
        "user": "ada",
        "memory_bytes": 150 * 2**20,
        "memory_unknown": 1,
        "gpus": [0, 1],
        "processes": 2,
    }
    assert users[3] == {
        "user": None,
        "memory_bytes": None,
        "memory_unknown": 1,
        "gpus": [],
        "processes": 1,
    }


def test_the_totals_are_those_of_all_only():
    """Without --all nothing is added to the JSON."""
    assert "users" not in listing_json(Snapshot("nvml", AT), SHARED)


def test_a_list_with_totals_is_read_as_without():
    """`ssh host gpuwatch-tray ps --all` as MYGPU: the totals are no processes, and no bad lines."""
    text = all_text(SHARED)
    assert parse_listing(text + totals_text(SHARED)) == parse_listing(text)


def test_json_schema_in_the_documentation_is_the_one_printed():
    """The documented fields are those of the record, in order."""
    record = listing_json(Snapshot("nvml", AT, (Gpu(0, "x"),)), (SECRET,), with_users=True)
    gpus, processes, users = (record[key][0] for key in ("gpus", "processes", "users"))
    top = list(record)
    schema = read("docs/json.md").split("```")[1].replace('"fan_percent": "unsupported"', "")  # an example
    documented = re.findall(r'"(\w+)":', schema)
    assert documented == [*top[:-2], *gpus, top[-2], *processes, top[-1], *users]


def test_own_command_with_halves_of_characters_can_be_printed():
    """Arguments that are no UTF-8 (Python carries them as surrogates) break neither terminal nor JSON."""
    process = GpuProcess(1, 0, COMPUTE, mine=True, command=("python", "\udcff.py"))
    own_text((process,), redacted=False).encode("utf-8")
    json.dumps(listing_json(Snapshot("nvml", AT), (process,))).encode(sys.getdefaultencoding())
