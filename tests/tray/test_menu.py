"""The menu's rows, as pure values."""

from __future__ import annotations

import pytest

from gpuwatch_tray.model import (
    UNKNOWN,
    UNSUPPORTED,
    Kind,
    Level,
    Missing,
    Problem,
    Severity,
    Status,
    Why,
)
from gpuwatch_tray.tray import menu, text
from gpuwatch_tray.tray.menu import Act
from tests.tray.samples import GIB, NOW, alert, gpu, process, snapshot, status

ERROR = Missing(Why.ERROR, "driver busy")


def walk(rows):
    for row in rows:
        yield row
        yield from walk(row.children)


def labels(shown, **more):
    return [row.label for row in walk(menu.rows(status(shown=shown, **more))) if not row.separator]


def test_rows_come_in_the_order_that_the_hand_learns():
    """Status line, notes, GPUs, alerts, actions, Quit, with lines between the groups."""
    rows = menu.rows(status(Level.WARNING, notes=("No email: TO_EMAIL is not set",), mail_possible=True))
    assert [row.label for row in rows] == [
        "GPU_COUNT(3) > GPU_LIMIT(2)",
        "No email: TO_EMAIL is not set",
        "",
        "GPU 0  RTX 4090 · 87 % · 12.3 / 24.0 GiB · 71 °C · 310 W",
        "GPU 1  RTX 4090 · 3 % · 12.3 / 24.0 GiB · 71 °C · 310 W",
        "",
        "Warning: GPU_COUNT(3) > GPU_LIMIT(2)",
        "",
        "Check now",
        "Send test mail",
        "",
        "Quit",
    ]


def test_alerts_notes_and_problems_are_urgent_and_processes_are_not():
    """What must not wait for a menu to close is marked; rows under the pointer of a submenu are not."""
    problem = Problem("the driver does not answer", "reboot")
    for shown in (snapshot(), snapshot(problem=problem)):
        rows = menu.rows(status(Level.WARNING, shown, notes=("No email",)))
        calm = {row.key for row in rows if not row.urgent and not row.separator}
        assert calm == {"check now", "test mail", "quit"}
        assert not any(row.urgent for top in rows for row in walk(top.children))
    (empty,) = [row for row in walk(menu.rows(status(shown=snapshot([gpu()], [])))) if row.filler]
    assert empty.label == "no processes"


def test_only_the_actions_can_be_clicked():
    """Each action row asks for its act, and no other row asks for anything."""
    rows = list(walk(menu.rows(status(Level.WARNING, mail_possible=True))))
    assert {row.act: row.label for row in rows if row.act} == {
        Act.CHECK_NOW: "Check now",
        Act.SEND_TEST_MAIL: "Send test mail",
        Act.QUIT: "Quit",
    }
    assert all(row.act or row.children or row.separator or not row.enabled for row in rows)


@pytest.mark.parametrize("possible", [True, False])
def test_test_mail_is_enabled_only_when_it_has_somewhere_to_go(possible):
    """`mail_possible` of the status switches the row."""
    (row,) = [row for row in menu.rows(status(mail_possible=possible)) if row.act is Act.SEND_TEST_MAIL]
    assert row.enabled is possible


def test_a_simulation_is_labelled_in_the_first_row():
    """Nobody can take simulated numbers for real ones."""
    assert menu.rows(status(shown=snapshot(simulated=True)))[0].label.startswith("SIMULATED · All within")


def test_a_process_row_says_whose_how_large_how_long_and_what():
    """PID, owner, memory, elapsed time and redacted command stand in one line."""
    assert labels(snapshot())[2] == (
        "PID 2943615 · alice · 2.8 GiB · 3 h 24 min · python train.py --batch_size=64"
    )


def test_a_long_command_is_clipped_in_its_row_and_whole_in_the_details():
    """Forty characters tell a process from the next one; the submenu has the rest."""
    long = labels(
        snapshot(processes=[process(command=("python", "train.py", "--data=/scratch/" + "x" * 30))])
    )
    (row,) = [label for label in long if label.startswith("PID")]
    assert row.split(text.DOT)[-1] == "python train.py --data=/scratch/xxxxxxx…"
    assert f"Command: python train.py --data=/scratch/{'x' * 30}" in long


def test_a_password_in_a_command_never_reaches_the_menu():
    """Commands pass through redaction, in the row and in its details."""
    shown = labels(snapshot(processes=[process(command=("python", "x.py", "--password", "hunter22"))]))
    assert not any("hunter22" in label for label in shown)
    assert any("***" in label for label in shown)


def test_other_peoples_command_and_folder_are_not_shown():
    """Of a process that is not one's own only the program's name is shown."""
    shown = labels(snapshot(processes=[process(mine=False, user="bob")]))
    assert not any("train.py" in label or "/home" in label for label in shown)


def test_a_missing_value_is_neither_zero_nor_hidden_failure():
    """What failed is a `?`, what the device never gives is left out."""
    broken = gpu(0, utilisation=ERROR, memory_used=ERROR, temperature=UNSUPPORTED, power=ERROR)
    assert text.gpu(broken) == "GPU 0  RTX 4090 · ? % · ? / 24.0 GiB · ? W"
    bare = gpu(0, name=UNKNOWN, utilisation=UNKNOWN, memory_used=UNKNOWN, memory_total=UNKNOWN,
               temperature=UNKNOWN, power=UNKNOWN)  # fmt: skip
    assert text.gpu(bare) == "GPU 0"
    nobody = process(memory=ERROR, user=UNKNOWN, elapsed=UNKNOWN, command=UNKNOWN, name=UNKNOWN)
    assert text.process(nobody) == "PID 2943615 · user ? · memory ? · time ? · command not known"
    assert "Command: not known" in labels(snapshot(processes=[nobody]))
    assert text.process(process(memory=UNSUPPORTED, command=("x",))) == "PID 2943615 · alice · 3 h 24 min · x"


def test_a_lost_gpu_says_so_and_lists_no_processes_as_none():
    """A GPU off the bus is named with its problem, and its list is unknown rather than empty."""
    rows = labels(snapshot([gpu(0, problem="GPU is lost")], []))
    assert "GPU 0  RTX 4090 · GPU is lost" in rows
    assert "processes unknown: GPU is lost" in rows
    assert "no processes" not in rows


def test_an_unreadable_process_list_is_not_an_idle_gpu():
    """The processes that are known stand beside the word that there may be more."""
    rows = labels(snapshot([gpu(0, process_problem="no permission")], [process()]))
    assert "processes unknown: no permission" in rows
    assert any(row.startswith("PID 2943615") for row in rows)


def test_an_idle_gpu_says_no_processes():
    """A GPU whose list was read and is empty."""
    assert "no processes" in labels(snapshot([gpu(0)], []))


def test_a_driver_that_cannot_be_read_replaces_the_gpus_by_its_problem():
    """The problem and its mend stand where the GPUs were; there is no empty list."""
    problem = Problem("the NVIDIA driver is not loaded", "modprobe nvidia")
    rows = labels(snapshot([gpu()], [], problem=problem))
    assert rows[1:3] == ["the NVIDIA driver is not loaded", "modprobe nvidia"]
    assert not any(row.startswith("GPU 0") for row in rows)


def test_before_the_first_reading_the_menu_says_so():
    """No snapshot is not an empty machine."""
    rows = menu.rows(Status(Level.NO_DATA, "starting", NOW))
    assert "The GPUs have not been read yet" in [row.label for row in rows]


def test_a_process_list_without_devices_still_has_its_gpus():
    """Indexes that only processes name get a row, and `GPU ?` comes last."""
    rows = labels(snapshot([], [process(1, None), process(2, 3), process(3, 0)]))
    assert [row for row in rows if row.startswith("GPU")] == ["GPU 0", "GPU 3", "GPU ?"]


def test_an_empty_process_list_without_devices_is_said_in_words():
    """Neither GPUs nor processes: one row tells."""
    assert "No GPUs and no GPU processes are reported" in labels(snapshot([], []))


def test_of_many_processes_the_largest_are_shown_and_the_rest_is_one_row_away():
    """Twenty rows a GPU, then a submenu that holds the others; nothing is lost."""
    many = [process(pid, 0, ran=pid * 60.0, memory=(pid % 50) * GIB) for pid in range(1, 101)]
    (row, *_) = [
        row for row in menu.rows(status(shown=snapshot([gpu(0)], many))) if row.key.startswith("gpu")
    ]
    *first, more = row.children
    assert (len(first), more.label, len(more.children)) == (20, "… 80 more", 80)
    pids = {int(child.key.rsplit("process:", 1)[1].split(":")[0]) for child in first}
    assert {49, 99} <= pids
    assert not {50, 100} & pids


def test_processes_are_listed_longest_first_so_that_a_new_one_comes_last():
    """The order of those that live never changes by itself."""
    rows = labels(snapshot([gpu(0)], [process(5, ran=10.0), process(9, ran=500.0), process(7, ran=90.0)]))
    assert [row.split()[1] for row in rows if row.startswith("PID")] == ["9", "7", "5"]


def test_keys_are_unique_and_stay_with_what_they_name():
    """The same process under other numbers keeps its key; a reused PID gets another."""
    first = {row.label: row.key for row in walk(menu.rows(status(Level.WARNING)))}
    rows = list(walk(menu.rows(status(Level.WARNING))))
    assert len({row.key for row in rows}) == len(rows)
    older = process(memory=9 * GIB, ran=9 * 3600.0, identity=process().identity)
    again = process(ran=5.0)
    keys = [row.key for row in walk(menu.rows(status(shown=snapshot(processes=[older])))) if row.subject]
    assert keys == [key for label, key in first.items() if label.startswith("PID 2943615")]
    reused = [row.key for row in walk(menu.rows(status(shown=snapshot(processes=[again])))) if row.subject]
    assert reused != keys


def test_a_process_named_twice_is_one_row():
    """A source that repeats itself does not break the menu's keys."""
    rows = labels(snapshot(processes=[process(), process()]))
    assert sum(row.startswith("PID") for row in rows) == 1


def test_a_graphics_only_process_shows_its_type():
    """One's own Xorg is told from a computation."""
    assert text.process(process(kinds=frozenset({Kind.GRAPHICS}))).endswith("· graphics only")


def test_control_characters_and_long_texts_cannot_spoil_a_row():
    """A row is one line of bounded length, whatever a process calls itself."""
    rows = labels(snapshot(processes=[process(command=("a\nb\x1b[31m", "x" * 500))]))
    assert all(label.isprintable() for label in rows)
    assert all(len(label) <= 140 for label in rows)
    reason = alert(reason="y" * 500, severity=Severity.CRITICAL)
    assert max(len(label) for label in labels(snapshot(), alerts=(reason,))) <= 140


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "under a minute"),
        (59.9, "under a minute"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (12240, "3 h 24 min"),
        (86399, "23 h 59 min"),
        (86400, "1 d 0 h"),
        (200000, "2 d 7 h"),
    ],
)
def test_elapsed_times_move_in_coarse_steps(seconds, written):
    """A row does not change at each poll."""
    assert text.elapsed(seconds) == written


def test_the_details_of_a_process_tell_command_folder_start_and_type():
    """The submenu of one's own process holds all that is known of it."""
    rows = labels(snapshot(processes=[process(cwd=ERROR)]))
    assert "Command: python train.py --batch_size=64" in rows
    assert "Folder: could not be read: driver busy" in rows
    assert f"Started: {text.moment(NOW - 12240)}" in rows
    assert "Type: compute (C)" in rows
