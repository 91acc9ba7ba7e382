"""The menu's rows, as pure values."""

from __future__ import annotations

import itertools
import sys
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gpuwatch_tray import __version__
from gpuwatch_tray.common import redact
from gpuwatch_tray.model import (
    UNKNOWN,
    UNSUPPORTED,
    Level,
    Missing,
    PendingReminder,
    Phase,
    Problem,
    ProcessKind,
    Severity,
    Status,
    Why,
)
from gpuwatch_tray.model.units import end_time, local_time, menu_duration
from gpuwatch_tray.tray import menu
from gpuwatch_tray.tray.backends import nodes
from gpuwatch_tray.tray.menu import ActionKind, MenuAction, MenuExtras, labels, process_rows
from tests.support.lab_status import OF_LAB
from tests.support.tray_status import GIB, NOW, alert, gpu, process, snapshot, status

ERROR = Missing(Why.ERROR, "driver busy")
ROOM = labels.FIGURE_SPACE  # as wide as a digit


def wall(written):
    """Return the wall time that this machine's clock shows as `written`."""
    return datetime.fromisoformat(written).timestamp()


NOON = wall("2026-03-02 12:00")
AT_TWO = wall("2026-03-02 14:00")


def walk(rows):
    for row in rows:
        yield row
        yield from walk(row.children)


def shown_labels(shown, **more):
    return [row.label for row in walk(menu.build_menu(status(shown=shown, **more))) if not row.separator]


def labels_of(rows):
    return [row.label for row in rows]


def test_rows_come_in_the_order_that_the_hand_learns():
    """Status line, notes, alerts, GPUs, actions and Quit; what is seldom used stands below More."""
    shown = status(Level.WARNING, notes=("No email: TO_EMAIL is not set",), mail_possible=True)
    rows = menu.build_menu(shown, extras=MenuExtras(settings_file="/x/gpu-watch.env", log_file="/x/tray.log"))
    assert labels_of(rows) == [
        "GPU_COUNT(3) > GPU_LIMIT(2)",
        "No email: TO_EMAIL is not set",
        "Warning: GPU_COUNT(3) > GPU_LIMIT(2)",
        "",
        f"GPU 0 · {ROOM}87 % · 12.3 / 24 GiB · 71 °C",
        f"GPU 1 · {ROOM}{ROOM}3 % · 12.3 / 24 GiB · 71 °C",
        "",
        "Snooze all",
        "Notify me when…",
        "Show details…",
        "More",
        "Quit",
    ]
    (more,) = [row for row in rows if row.label == "More"]
    assert labels_of(more.children) == [
        "Users",
        "Check now",
        "Send test alert",
        "Start at login",
        "Open settings",
        "Open log",
        "About",
    ]


@pytest.mark.parametrize("gpus", [0, 1, 2, 3, 8, 64])
def test_at_most_ten_rows_stand_at_the_top(gpus):
    """Whatever the machine holds and whatever is wrong with it; from three on the GPUs have a list."""
    held = snapshot([gpu(n) for n in range(gpus)], [process(n + 1, n) for n in range(gpus)])
    _, extras = everything()
    shown = status(Level.WARNING, held, notes=("a", "b"), alerts=tuple(alert(f"a{n}") for n in range(9)))
    rows = menu.build_menu(shown, extras=extras)
    assert sum(not row.separator for row in rows) <= 10
    below = [row for top in rows for row in (top, *top.children)]
    below = [row for row in below if row.key.startswith("gpu:") and "/" not in row.key]
    assert len(below) == min(gpus, 40)
    if gpus == 8:
        assert f"8 GPUs · {ROOM}98.4 / 192 GiB · 8 processes" in labels_of(rows)
    if gpus == 64:
        (row,) = [row for row in rows if row.key == "gpus"]
        assert (row.children[-1].label, row.children[-1].action.kind) == (
            "… 24 more · Show details…",
            ActionKind.SHOW_DETAILS,
        )


def test_what_asks_for_attention_has_one_row_that_is_always_there():
    """It never comes or goes: the worst is named, and all stand below it, each with its actions."""
    calm = menu.build_menu(status())
    (row,) = [row for row in calm if row.key == "alerts"]
    assert (row.label, labels_of(row.children)) == ("No alerts", ["Nothing is wrong now"])
    hot = alert("a2", "GPU 2 is hot")
    both = menu.build_menu(status(Level.WARNING, alerts=(alert(), hot)))
    (row,) = [row for row in both if row.key == "alerts"]
    assert row.label == "Warning: GPU_COUNT(3) > GPU_LIMIT(2) · +1"
    assert labels_of(row.children) == ["Warning: GPU_COUNT(3) > GPU_LIMIT(2)", "Warning: GPU 2 is hot"]
    assert [one.key for one in both] == [one.key for one in calm]


def test_a_row_that_never_changes_keeps_the_menu_wide():
    """An alert that comes while the menu is open needs less room than "More" has; no other label differs."""
    rows = nodes.menu_entries(menu.build_menu(status()), print)
    changed = [pair for pair in zip(rows, nodes.widened(rows), strict=True) if pair[0] != pair[1]]
    ((plain, filled),) = changed
    assert plain.label == filled.label.rstrip(f"{ROOM}{nodes.WORD_END}") == "More"
    digits = filled.label.count(ROOM) + nodes.LETTER * len("More")
    assert digits >= nodes.LETTER * labels.MAX_COLUMNS


def test_a_long_note_is_clipped_at_the_top_and_whole_below_with_the_way_to_the_settings():
    """The menu is not made wider by it than by other rows, and its advice can be read."""
    note = "Email is off: no mail address is set (TO_EMAIL in /home/alice/.config/gpu-watch.env)"
    rows = menu.build_menu(status(notes=(note, "x")), extras=MenuExtras(settings_file="/x/gpu-watch.env"))
    (row,) = [row for row in rows if row.key == "notes"]
    assert len(row.label) <= labels.MAX_COLUMNS
    assert row.label.endswith("… · and 1 more")
    *lines, last = row.children
    assert " ".join(line.label.strip() for line in lines) == f"{note} x"
    assert last.action == MenuAction(ActionKind.OPEN_SETTINGS, "/x/gpu-watch.env")


def test_the_status_line_is_short():
    """The tooltip has more of it, and the list of alerts all."""
    long = status(headline="x" * 300)
    assert len(menu.build_menu(long)[0].label) == labels.MAX_COLUMNS
    assert len(menu.tooltip(long)[0]) == 100


MINE, OTHERS = "python train.py · alice", "python · bob"
ASKS = [
    # (the submenus on the way, the row, what a click on it asks for)
    ((), "Show details…", MenuAction(ActionKind.SHOW_DETAILS)),
    (("More",), "Check now", MenuAction(ActionKind.CHECK_NOW)),
    (("More",), "Send test alert", MenuAction(ActionKind.TEST_ALERT)),
    (("More",), "Start at login", MenuAction(ActionKind.AUTOSTART, "on")),
    (("More",), "Open settings", MenuAction(ActionKind.OPEN_SETTINGS, "/x/gpu-watch.env")),
    (("More",), "Open log", MenuAction(ActionKind.OPEN_LOG, "/x/tray.log")),
    (("More",), "Set up email…", MenuAction(ActionKind.SET_UP_MAIL)),
    ((), "Quit", MenuAction(ActionKind.QUIT)),
    (("Snooze all",), "1 h", MenuAction(ActionKind.SNOOZE_ALL)),
    (("Snooze all",), "Until tomorrow, 08:00", MenuAction(ActionKind.SNOOZE_TOMORROW)),
    (("Snooze all",), "Resume", MenuAction(ActionKind.RESUME)),
    (("PID 7", "Warning: GPU_COUNT"), "Acknowledge", MenuAction(ActionKind.ACKNOWLEDGE, "a1")),
    (("PID 7", "Warning: GPU_COUNT"), "Snooze 1 h", MenuAction(ActionKind.SNOOZE, "a1")),
    (("Notify me when…",), "1 GPU is free", MenuAction(ActionKind.WHEN_FREE, "1")),
    (("Notify me when…",), "2 GPUs are free", MenuAction(ActionKind.WHEN_FREE, "2")),
    (
        ("Notify me when…", "You will be notified when 4 GPUs"),
        "Cancel",
        MenuAction(ActionKind.WHEN_CANCEL, "5"),
    ),
    (
        ("GPU 0", MINE),
        "Notify me when it ends",
        MenuAction(ActionKind.WHEN_ENDS, f"2943615:{process().identity}"),
    ),
    (
        ("GPU 1", OTHERS),
        "Notify me when it ends",
        MenuAction(ActionKind.WHEN_ENDS, f"2943700:{process(2943700, ran=600.0).identity}"),
    ),
    (("GPU 0", MINE), "Copy PID", MenuAction(ActionKind.COPY_PID, "2943615")),
    (("GPU 0", MINE), "Copy command", MenuAction(ActionKind.COPY_COMMAND, "python train.py --batch_size=64")),
    (
        ("GPU 0", MINE, "End process…"),
        "End PID 2943615 (train.py) now",
        MenuAction(ActionKind.END, f"2943615:{process().identity}"),
    ),
    (("GPU 1", OTHERS), "Copy PID", MenuAction(ActionKind.COPY_PID, "2943700")),
    (("GPU 1", OTHERS), "Copy command", MenuAction(ActionKind.COPY_COMMAND, "python")),
    (("PID 7", "PID 7 did not end: kill it…"), "Kill PID 7 now", MenuAction(ActionKind.KILL, "7:99")),
]


def everything():
    """Return a status with something of each kind to show, and the extras."""
    awaited = (PendingReminder(5, "4", "4 GPUs are free for 1 min"),)
    shown = status(Level.WARNING, mail_possible=True, snoozed_until=NOW + 3600, awaited=awaited)
    return shown, MenuExtras(
        frozenset({(7, "99")}),
        "/x/gpu-watch.env",
        ("State: /x/state.db",),
        "/x/tray.log",
        without_mail=True,
    )


@pytest.mark.parametrize(("way", "label", "action"), ASKS)
def test_each_row_asks_for_what_it_says(way, label, action):
    """The row is found by its way, and its action is bound to the very thing that it names."""
    shown, extras = everything()
    rows = menu.build_menu(shown, extras=extras)
    for step in way:
        rows = next(row.children for row in rows if row.label.startswith(step))
    assert [row.action for row in rows if row.label == label] == [action]


def test_no_other_row_asks_for_anything():
    """What can be clicked is exactly the table above; the rest is there to read or to unfold."""
    shown, extras = everything()
    rows = list(walk(menu.build_menu(shown, extras=extras)))
    assert sorted(row.label for row in rows if row.action) == sorted(label for _, label, _ in ASKS)
    assert all(row.action or row.children or row.separator or not row.enabled for row in rows)
    assert not any(row.action and row.children for row in rows)


def test_the_tick_asks_for_the_other_state():
    """A click on a row without a tick asks for on, with one for off; no other row can bear a tick."""
    for told, asked in ((False, "on"), (True, "off")):
        rows = list(walk(menu.build_menu(status(), extras=MenuExtras(autostart=told))))
        assert [(row.label, row.ticked, row.action.target) for row in rows if row.ticked is not None] == [
            ("Start at login", told, asked)
        ]


@pytest.mark.parametrize("act", [act for act in ActionKind if act not in OF_LAB])
def test_a_row_is_shown_only_where_its_act_works(act):
    """What nobody can carry out here is not offered, and a submenu without a choice is none."""
    shown, extras = everything()
    none = list(walk(menu.build_menu(shown, frozenset(), extras)))
    assert not any(row.action for row in none)
    assert not {"Snooze all", "End process…", "PID 7 did not end: kill it…"} & {row.label for row in none}
    rows = menu.build_menu(shown, {act}, extras)
    assert {row.action.kind for row in walk(rows) if row.action} == {act}
    lines = [row.separator for row in rows]
    assert not any(first and second for first, second in itertools.pairwise(lines))


def test_without_a_settings_file_there_is_nothing_to_open():
    """The extras name the file; without them the row is not there."""
    assert "Open settings" not in shown_labels(snapshot())


@pytest.mark.parametrize(
    ("more", "offered"),
    [
        ({}, True),
        # somebody else's, or perhaps somebody else's
        ({"mine": False}, False),
        ({"mine": None}, False),
        # one that could not be told from the next of that number
        ({"identity": ""}, False),
    ],
)
def test_only_ones_own_known_processes_can_be_ended(more, offered):
    """The row is there for a process of mine with an identity, and for no other."""
    rows = shown_labels(snapshot(processes=[process(**more)]))
    assert ("End process…" in rows) is offered


@pytest.mark.parametrize(("source", "offered"), [("nvml", True), ("simulated", False), ("command: x", False)])
def test_only_processes_of_this_machine_can_be_ended(source, offered):
    """A program's list may be another host's, and a simulated PID may be anybody's."""
    rows = menu.build_menu(status(shown=replace(snapshot(), source=source)))
    assert any(row.action and row.action.kind is ActionKind.END for row in walk(rows)) is offered


def test_ending_what_draws_warns_that_it_may_be_the_desktop():
    """One's own Xorg is on the list as well."""
    shown = shown_labels(snapshot(processes=[process(kinds=frozenset({ProcessKind.GRAPHICS}))]))
    assert "It draws on the screen; it may be your desktop itself" in shown
    assert not any("may be your desktop" in label for label in shown_labels(snapshot()))


def test_a_stubborn_process_is_named_where_it_is_known():
    """The offer to kill stands in the first level, with its program, and asks again."""
    extras = MenuExtras(frozenset({(2943615, process().identity)}))
    (row,) = [row for row in menu.build_menu(status(), extras=extras) if "did not end" in row.label]
    assert [below.label for below in row.children] == ["Kill PID 2943615 (train.py) now"]


PROGRAMS = [
    (("python", "train.py"), "train.py"),
    (("/usr/bin/python3.11", "/home/a/run 7/train.py", "-x"), "train.py"),
    (("python", "-m", "torch.distributed"), "torch.distributed"),
    (("python", "-c", "import torch"), "python"),
    (("python",), "python"),
    (("./a.out", "in.dat"), "a.out"),
    (("bash", "run.sh"), "run.sh"),
    (("shasum", "in.dat"), "shasum"),
    # a title that the process gave itself, in one argument
    (("ray::worker --token=x",), "ray::worker --token=***"),
]


@pytest.mark.parametrize(("argv", "name"), PROGRAMS)
def test_a_process_is_called_by_its_script_or_program(argv, name):
    """In the row that ends it, so that a hand that slipped sees it."""
    assert labels.program_name(process(command=argv)) == name


def test_other_peoples_scripts_are_not_named():
    """Of a process that is not one's own only the program is said."""
    assert labels.program_name(process(mine=False)) == "python"


def test_the_clipboard_gets_ones_own_command_as_it_is():
    """It shall run when it is pasted; the rows beside it stay redacted, and so does whoever prints them."""
    secret = process(command=("python", "x y.py", "--password", "hunter22"))
    rows = list(walk(menu.build_menu(status(shown=snapshot(processes=[secret])))))
    (copy,) = [row for row in rows if row.label == "Copy command"]
    assert copy.action == MenuAction(ActionKind.COPY_COMMAND, "python 'x y.py' --password hunter22")
    assert "hunter22" not in repr(rows)


def test_on_windows_the_copied_command_is_quoted_as_windows_does(monkeypatch):
    """Its shells know no single quotes."""
    monkeypatch.setattr(sys, "platform", "win32")
    assert labels.clipboard_command(process(command=("python", "x y.py", "a'b"))) == 'python "x y.py" a\'b'


def test_a_command_that_is_not_known_is_not_copied():
    """Nothing to copy, no row."""
    nobody = process(command=UNKNOWN, name=UNKNOWN)
    assert "Copy command" not in shown_labels(snapshot(processes=[nobody]))


@pytest.mark.parametrize(
    ("possible", "label"), [(True, "Send test alert"), (False, "Send test alert (popup only)")]
)
def test_the_test_alert_says_how_far_it_goes(possible, label):
    """`mail_possible` of the status tells whether there is anywhere to mail to."""
    rows = walk(menu.build_menu(status(mail_possible=possible)))
    (row,) = [row for row in rows if row.key == "test alert"]
    assert (row.label, row.enabled) == (label, True)


def test_about_tells_name_version_licence_and_what_it_is_given():
    """Rows to read, in a submenu."""
    shown, extras = everything()
    (about,) = [row for row in walk(menu.build_menu(shown, extras=extras)) if row.key == "about"]
    assert [row.label for row in about.children] == [
        f"gpuwatch-tray {__version__}",
        "Licence: MIT",
        "State: /x/state.db",
    ]
    assert not any(row.enabled for row in about.children)


def test_a_simulation_is_labelled_in_the_first_row():
    """Nobody can take simulated numbers for real ones."""
    assert menu.build_menu(status(shown=snapshot(simulated=True)))[0].label.startswith(
        "SIMULATED · All within"
    )


def test_a_process_row_says_whose_how_large_how_long_and_what():
    """Program and script, owner, memory, elapsed time, and the PID at the end."""
    rows = shown_labels(snapshot())
    assert "python train.py · alice · 2.8 GiB · 3:24 h · PID 2943615" in rows
    assert "python · bob · 2.8 GiB · 10 min · PID 2943700" in rows
    module = process(7, memory=18 * GIB, command=("python3", "-m", "http.server", "--bind", "x"))
    assert labels.process_label(module) == "python3 -m http.server · alice · 18 GiB · 3:24 h · PID 7"


def test_a_long_name_is_clipped_in_its_row_and_the_command_whole_in_the_details():
    """Where there is no room for both, the script is named without its program, and then cut."""
    script = "pretrain_language_model_distributed.py"
    held = process(user="wilhelmina", command=("python", script, "--data=/scratch/" + "x" * 30))
    (row,) = [row for row in walk(menu.build_menu(status(shown=snapshot(processes=[held])))) if row.subject]
    assert row.label.startswith("pretrain_… · wilhelmina · ")
    assert len(row.label) <= labels.PROCESS_COLUMNS
    assert labels.process_label(process(user="wilhelmina")).startswith("train.py · wilhelmina · ")
    below = labels_of(row.children)
    first = below.index(f"Command: python {script}")  # on two lines
    assert below[first + 1].strip() == f"--data=/scratch/{'x' * 30}"


def test_a_password_in_a_command_never_reaches_the_menu():
    """Commands pass through redaction, in the row and in its details."""
    shown = shown_labels(snapshot(processes=[process(command=("python", "x.py", "--password", "hunter22"))]))
    assert not any("hunter22" in label for label in shown)
    assert any("***" in label for label in shown)


def test_other_peoples_command_and_folder_are_not_shown():
    """Of a process that is not one's own only the program's name is shown."""
    shown = shown_labels(snapshot(processes=[process(mine=False, user="bob")]))
    assert not any("train.py" in label or "/home" in label for label in shown)


def test_a_missing_value_is_neither_zero_nor_hidden_failure():
    """What failed is a `?`, what the device never gives is left out."""
    broken = gpu(0, utilisation=ERROR, memory_used=ERROR, temperature=UNSUPPORTED, power=ERROR)
    assert labels.gpu_label(broken) == f"GPU 0 · RTX 4090 · {ROOM * 2}? % · {ROOM * 3}? / 24 GiB"
    assert labels.gpu_details(broken) == "RTX 4090 · ? W · fan 55 %"
    bare = gpu(0, name=UNKNOWN, utilisation=UNKNOWN, memory_used=UNKNOWN, memory_total=UNKNOWN,
               temperature=UNKNOWN, power=UNKNOWN, fan=UNSUPPORTED)  # fmt: skip
    assert labels.gpu_label(bare) == "GPU 0"
    assert labels.gpu_details(bare) == ""
    nobody = process(memory=ERROR, user=UNKNOWN, elapsed=UNKNOWN, command=UNKNOWN, name=UNKNOWN)
    assert labels.process_label(nobody) == "command ? · user ? · memory ? · time ? · PID 2943615"
    assert "Command: not known" in shown_labels(snapshot(processes=[nobody]))
    assert (
        labels.process_label(process(memory=UNSUPPORTED, command=("x",)))
        == "x · alice · 3:24 h · PID 2943615"
    )


def test_a_gpus_row_has_its_numbers_in_places_of_the_same_width():
    """From 0 to 100 percent, idle or full: no number moves the one behind it."""
    low = labels.gpu_label(gpu(0, utilisation=0, memory_used=0, temperature=9), named=False)
    high = labels.gpu_label(gpu(0, utilisation=100, memory_used=24 * GIB, temperature=99), named=False)
    assert low == f"GPU 0 · {ROOM * 2}0 % · {ROOM}0.0 / 24 GiB · {ROOM}9 °C"
    assert high == "GPU 0 · 100 % · 24.0 / 24 GiB · 99 °C"
    assert len(low) == len(high)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "RTX 4070 Ti SUPER"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "RTX 4090 Laptop"),
        ("NVIDIA GeForce GTX 1060 6GB", "GTX 1060"),
        ("NVIDIA GeForce RTX 2080 with Max-Q Design", "RTX 2080"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "RTX PRO 6000"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100 80GB PCIe", "A100"),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "A100 MIG 1g.5gb"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA TITAN RTX", "TITAN RTX"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("Tesla T4", "T4"),
        ("Quadro RTX 8000", "RTX 8000"),
        ("NVIDIA", "NVIDIA"),
        ("GPU\nof mine", "GPU of mine"),
    ],
)
def test_a_gpu_is_called_by_its_model(name, short):
    """Without the maker, and without memory, slot and edition: the row has its memory."""
    assert labels.short_gpu_name(name) == short


def test_the_model_stands_where_it_tells_one_gpu_from_another():
    """Two alike are told apart by their numbers, and their full name stands below."""
    alike = shown_labels(
        snapshot([gpu(0, name="NVIDIA H100 PCIe"), gpu(1, name="NVIDIA H100 80GB HBM3")], [])
    )
    assert [row.split(labels.DOT)[0] for row in alike if row.startswith("GPU")] == ["GPU 0", "GPU 1"]
    assert not any("· H100 ·" in row for row in alike)
    assert "NVIDIA H100 80GB HBM3 · 310 of 450 W · fan 55 %" in alike
    mixed = shown_labels(snapshot([gpu(0, name="NVIDIA H100 PCIe"), gpu(1, name="NVIDIA L40S")], []))
    assert [row.split(labels.DOT)[1] for row in mixed if row.startswith("GPU")] == ["H100", "L40S"]
    long = snapshot([gpu(0), gpu(1, name="NVIDIA " + "X" * 60)], [])
    assert max(len(row) for row in shown_labels(long) if row.startswith("GPU")) <= labels.GPU_COLUMNS


def test_the_tooltip_has_a_line_for_each_gpu_or_one_for_many():
    """The status line is the first; up to four GPUs follow, more are summed up."""
    assert menu.tooltip(status()) == (
        "All within limits: 2 of 2 GPUs in use",
        f"GPU 0 · {ROOM}87 % · 12.3 / 24 GiB · 71 °C",
        f"GPU 1 · {ROOM}{ROOM}3 % · 12.3 / 24 GiB · 71 °C",
    )
    four = menu.tooltip(status(shown=snapshot([gpu(number) for number in range(4)], [])))
    assert [line[:5] for line in four[1:]] == ["GPU 0", "GPU 1", "GPU 2", "GPU 3"]
    five = menu.tooltip(status(shown=snapshot([gpu(number) for number in range(5)])))
    assert five[1:] == (f"5 GPUs · {ROOM}61.5 / 120 GiB · 2 processes",)
    broken = snapshot([gpu(0)], [], problem=Problem("the driver is gone"))
    assert menu.tooltip(status(Level.NO_DATA, broken)) == ("No data: the driver does not answer",)
    assert menu.tooltip(Status(Level.NO_DATA, "starting", NOW)) == ("starting",)


def test_a_lost_gpu_says_so_and_lists_no_processes_as_none():
    """A GPU off the bus is named with its problem, and its list is unknown rather than empty."""
    rows = shown_labels(snapshot([gpu(0, problem="GPU is lost")], []))
    assert "GPU 0 · GPU is lost" in rows
    assert "processes unknown: GPU is lost" in rows
    assert "no processes" not in rows


def test_an_unreadable_process_list_is_not_an_idle_gpu():
    """The processes that are known stand beside the word that there may be more."""
    rows = shown_labels(snapshot([gpu(0, process_problem="no permission")], [process()]))
    assert "processes unknown: no permission" in rows
    assert any(row.endswith("PID 2943615") for row in rows)


def test_an_idle_gpu_says_no_processes():
    """A GPU whose list was read and is empty."""
    assert "no processes" in shown_labels(snapshot([gpu(0)], []))


def test_a_driver_that_cannot_be_read_replaces_the_gpus_by_its_problem():
    """The problem and its mend stand where the GPUs were; there is no empty list."""
    problem = Problem("the NVIDIA driver is not loaded", "modprobe nvidia")
    rows = shown_labels(snapshot([gpu()], [], problem=problem))
    at = rows.index("the NVIDIA driver is not loaded")
    assert rows[at : at + 3] == [
        "the NVIDIA driver is not loaded",
        "the NVIDIA driver is not loaded",
        "modprobe nvidia",
    ]
    assert not any(row.startswith("GPU 0") for row in rows)


def test_before_the_first_reading_the_menu_says_so():
    """No snapshot is not an empty machine."""
    rows = menu.build_menu(Status(Level.NO_DATA, "starting", NOW))
    assert "No GPU has been read yet" in [row.label for row in rows]


def test_a_process_list_without_devices_still_has_its_gpus():
    """Indexes that only processes name get a row, and `GPU ?` comes last."""
    rows = shown_labels(snapshot([], [process(1, None), process(2, 3), process(3, 0)]))
    assert [row for row in rows if row.startswith("GPU")] == ["GPU 0", "GPU 3", "GPU ?"]


def test_an_empty_process_list_without_devices_is_said_in_words():
    """Neither GPUs nor processes: one row tells."""
    assert "No GPUs and no GPU processes are reported" in shown_labels(snapshot([], []))


def listed(rows):
    return {int(row.key.rsplit("process:", 1)[1].split(":")[0]) for row in rows if row.subject}


def test_of_many_processes_the_largest_are_shown_and_the_rest_is_one_row_away():
    """Twelve rows a GPU, then a submenu of forty, then the details page."""
    many = [process(pid, 0, ran=pid * 60.0, memory=(pid % 50) * GIB) for pid in range(1, 101)]
    (row, *_) = [
        row for row in menu.build_menu(status(shown=snapshot([gpu(0)], many))) if row.key.startswith("gpu")
    ]
    _name, *first, more = row.children
    assert (len(first), more.label) == (12, "… 88 more")
    assert {49, 99} <= listed(first)
    assert not {50, 100} & listed(first)
    assert len(listed(more.children)) == 40
    assert more.children[-1].label == "… 48 more · Show details…"
    assert len(more.covers) == 88


def test_the_choice_among_many_processes_stays():
    """Sizes that go up and down change no row; who is twice as large comes in, and who ends leaves."""
    chosen = menu.ShownProcesses()

    def shown(sizes):
        many = [process(pid, 0, identity=str(pid), memory=size * GIB) for pid, size in sizes.items()]
        rows = menu.build_menu(status(shown=snapshot([gpu(0)], many)), shown=chosen)
        return listed(next(row for row in rows if row.key.startswith("gpu:")).children)

    sizes = {pid: 10 + pid % 3 for pid in range(1, 31)}
    first = shown(sizes)
    assert len(first) == 12
    assert shown({pid: 10 + (pid + 1) % 3 for pid in sizes}) == first
    other = min(set(sizes) - first)
    grown = shown(sizes | {other: 40})
    assert other in grown
    assert len(grown - first) == 1
    gone = min(grown)
    after = shown({pid: size for pid, size in (sizes | {other: 40}).items() if pid != gone})
    assert len(after) == 12
    assert grown - after == {gone}


def test_the_details_of_a_process_are_not_built_before_somebody_looks(monkeypatch):
    """Hundreds of processes are drawn at each poll, and one of them is opened."""
    built = []
    monkeypatch.setattr(process_rows, "_details", lambda key, _process: built.append(key) or [])
    rows = menu.build_menu(status())
    again = menu.build_menu(status())
    assert rows == again
    assert built == []
    list(walk(rows))
    assert len(built) == 2


def test_processes_are_listed_longest_first_so_that_a_new_one_comes_last():
    """The order of those that live never changes by itself."""
    rows = shown_labels(
        snapshot([gpu(0)], [process(5, ran=10.0), process(9, ran=500.0), process(7, ran=90.0)])
    )
    assert [row.split()[-1] for row in rows if " · PID " in row] == ["9", "7", "5"]


def test_keys_are_unique_and_stay_with_what_they_name():
    """The same process under other numbers keeps its key; a reused PID gets another."""
    first = {row.label: row.key for row in walk(menu.build_menu(status(Level.WARNING)))}
    rows = list(walk(menu.build_menu(status(Level.WARNING))))
    assert len({row.key for row in rows}) == len(rows)
    older = process(memory=9 * GIB, ran=9 * 3600.0, identity=process().identity)
    again = process(ran=5.0)
    keys = [
        row.key for row in walk(menu.build_menu(status(shown=snapshot(processes=[older])))) if row.subject
    ]
    assert keys == [key for label, key in first.items() if label.endswith("PID 2943615")]
    reused = [
        row.key for row in walk(menu.build_menu(status(shown=snapshot(processes=[again])))) if row.subject
    ]
    assert reused != keys


def test_a_process_named_twice_is_one_row():
    """A source that repeats itself does not break the menu's keys."""
    rows = shown_labels(snapshot(processes=[process(), process()]))
    assert sum(" · PID " in row for row in rows) == 1


def test_a_graphics_only_process_shows_its_type():
    """One's own Xorg is told from a computation."""
    assert labels.process_label(process(kinds=frozenset({ProcessKind.GRAPHICS}))).endswith(
        "· graphics · PID 2943615"
    )


def test_control_characters_and_long_texts_cannot_spoil_a_row():
    """A row is one line of bounded length, whatever a process calls itself."""
    rows = shown_labels(snapshot(processes=[process(command=("a\nb\x1b[31m", "x" * 500))]))
    assert all(label.replace(ROOM, " ").isprintable() for label in rows)
    assert all(len(label) <= 140 for label in rows)
    long = alert(text="y" * 500, severity=Severity.CRITICAL, acknowledged=True)
    assert max(len(label) for label in shown_labels(snapshot(), alerts=(long,))) <= 140


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "< 1 min"),
        (59.9, "< 1 min"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1:00 h"),
        (12240, "3:24 h"),
        (86399, "23:59 h"),
        (86400, "1 d 0 h"),
        (200000, "2 d 7 h"),
    ],
)
def test_elapsed_times_move_in_coarse_steps(seconds, written):
    """A row does not change at each poll."""
    assert menu_duration(seconds) == written


def test_the_details_of_a_process_tell_command_folder_start_and_type():
    """The submenu of one's own process holds all that is known of it."""
    rows = shown_labels(snapshot(processes=[process(cwd=ERROR)]))
    assert "Command: python train.py --batch_size=64" in rows
    assert "Folder: could not be read: driver busy" in rows
    assert f"Started: {local_time(NOW - 12240)}" in rows
    assert "Type: compute (C)" in rows


SAID = "3 GPUs in use; the limit is 2"
STATES = [
    # (what became of the alert, its row's end, its state)
    ({}, "the limit is 2", "State: firing"),
    ({"phase": Phase.RECOVERING}, "the limit is 2", "State: recovering"),
    ({"acknowledged": True}, "· acknowledged", "State: firing, acknowledged"),
    ({"snoozed_until": AT_TWO}, "· snoozed until 14:00", "State: firing, snoozed until 14:00"),
    ({"inhibited_by": "gpu_lost"}, "· muted by gpu_lost", "State: firing, muted by gpu_lost"),
    (
        {"phase": Phase.RECOVERING, "acknowledged": True, "snoozed_until": AT_TWO, "inhibited_by": "x"},
        "· muted by x",
        "State: recovering, acknowledged, snoozed until 14:00, muted by x",
    ),
]


@pytest.mark.parametrize(("more", "end", "state"), STATES)
def test_an_alerts_submenu_tells_sentence_since_when_and_state(more, end, state):
    """In the words for people; and the row itself ends with what weighs most."""
    shown = status(Level.WARNING, alerts=(alert(text=SAID, **more),), at=NOON)
    (row,) = [row for row in menu.build_menu(shown) if row.key == "alerts"]
    assert row.label.startswith("Warning: 3 GPUs in use")
    assert row.label.endswith(end)
    assert [below.label for below in row.children[:3]] == [
        SAID,
        f"Since: {local_time(NOW)}",
        state,
    ]


def test_an_acknowledged_alert_keeps_its_rows_in_place():
    """The row that was clicked stays under the hand and cannot be clicked again."""
    (before,), (after,) = (
        [row for row in menu.build_menu(status(alerts=(alert(acknowledged=done),))) if row.key == "alerts"]
        for done in (False, True)
    )
    assert [row.key for row in before.children] == [row.key for row in after.children]
    (row,) = [row for row in after.children if row.action and row.action.kind is ActionKind.ACKNOWLEDGE]
    assert (row.label, row.enabled) == ("Acknowledged", False)


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, False),
        ({"snoozed_until": NOW + 60}, True),
        ({"alerts": (alert(snoozed_until=NOW + 60),)}, True),
    ],
)
def test_resume_is_shown_when_something_is_snoozed(more, shown):
    """Everything, or a single alert."""
    assert ("Resume" in shown_labels(snapshot(), **more)) is shown


def test_a_snooze_is_said_in_tooltip_and_first_row():
    """GNOME shows no tooltip; both say until when, however long the reason is."""
    shown = status(Level.SNOOZED, snoozed_until=AT_TWO, at=NOON)
    assert menu.tooltip(shown)[0] == "All within limits: 2 of 2 GPUs in use · snoozed until 14:00"
    assert menu.build_menu(shown)[0].label == "All within limits: 2 of 2 G… · snoozed until 14:00"
    long = menu.tooltip(status(headline="x" * 300, snoozed_until=AT_TWO, at=NOON))[0]
    assert long.endswith("… · snoozed until 14:00")
    assert len(long) <= 100


@pytest.mark.parametrize(
    ("end", "written"),
    [
        (wall("2026-03-02 14:00"), "14:00"),
        (wall("2026-03-03 08:00"), "tomorrow 08:00"),
        (wall("2026-03-04 08:00"), "2026-03-04 08:00"),
        (wall("2026-03-01 23:00"), "2026-03-01 23:00"),
    ],
)
def test_an_end_in_time_is_written_as_a_person_would(end, written):
    """Today's needs no date."""
    assert end_time(end, NOON) == written


CANARY = "s3cr3tc4n4ry"
words = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.text("ab/: _<>", max_size=4)
processes = st.builds(
    process,
    pid=st.integers(1, 4),
    gpu=st.sampled_from([None, 0, 1]),
    ran=st.floats(0, 1e7),
    identity=st.sampled_from(["", "1", "2:3"]),
    mine=st.sampled_from([True, False, None]),
    user=words,
    kinds=st.frozensets(st.sampled_from(ProcessKind)),
    command=st.one_of(
        st.just(UNKNOWN),
        st.lists(words, max_size=3).map(lambda argv: ("python", *argv, "--password", CANARY)),
        st.just(("curl", f"https://ada:{CANARY}@example.org/")),
    ),
)
alerts = st.builds(
    alert,
    fingerprint=names,
    text=st.one_of(words, st.just(f"python --password={CANARY} runs")),
    severity=st.sampled_from(Severity),
    phase=st.sampled_from([Phase.FIRING, Phase.RECOVERING]),
    acknowledged=st.booleans(),
    snoozed_until=st.one_of(st.none(), st.floats(0, 2e9)),
    inhibited_by=words,
)


@given(
    st.lists(processes, max_size=30),
    st.lists(alerts, max_size=5),
    st.lists(words, max_size=2),
    st.frozensets(st.tuples(st.integers(2, 4), st.sampled_from(["1", "2:3"]))),
    st.frozensets(st.sampled_from(ActionKind)),
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_shown_keys_are_unique_labels_are_lines_and_secrets_stay_out(
    held, fired, notes, stubborn, offered
):
    """Whatever processes call themselves, however often a source repeats itself."""
    shown = status(shown=snapshot(processes=held), alerts=tuple(fired), notes=tuple(notes), snoozed_until=NOW)
    rows = list(walk(menu.build_menu(shown, offered, MenuExtras(stubborn, "/x", ("State: /x",)))))
    assert len({row.key for row in rows}) == len(rows)
    for row in rows:
        assert row.separator or (row.label == redact.visible(row.label) and len(row.label) <= 140)
        assert CANARY not in row.label
    assert CANARY not in repr(rows)
