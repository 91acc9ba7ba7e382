"""The rows of "notify me when", of what is waited for, and of the users."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import UNKNOWN, Missing, PendingReminder, Problem, ProcessKind, Why
from gpuwatch_tray.tray import menu
from gpuwatch_tray.tray.menu import ActionKind, MenuAction
from tests.support.tray_status import GIB, gpu, process, snapshot, status

TITLE = "Notify me when…"
FREE = process(7, 0, kinds=frozenset({ProcessKind.GRAPHICS}))


def tops(shown, offered=None, **more):
    rows = menu.build_menu(status(shown=shown, **more), frozenset(ActionKind) if offered is None else offered)
    return {row.label: row for row in rows}


@pytest.mark.parametrize(
    ("shown", "offered"),
    [
        # both are taken
        (snapshot(), ["1 GPU is free", "2 GPUs are free"]),
        # one is free already: what draws does not count
        (snapshot(processes=[process(), replace(FREE, gpu=1)]), ["2 GPUs are free"]),
        # all are free: nothing to wait for
        (snapshot(processes=[]), []),
        (snapshot(processes=[FREE]), []),
        # one cannot be read: it may not be free
        (snapshot([gpu(), gpu(1, problem="lost")], []), ["2 GPUs are free"]),
        # there is only one
        (snapshot([gpu()]), ["1 GPU is free"]),
        # nothing is known, or only which GPUs are in use
        (snapshot(problem=Problem("no driver")), []),
        (snapshot([replace(gpu(), uuid="")]), []),
    ],
)
def test_only_what_is_not_so_already_can_be_waited_for(shown, offered):
    """The submenu offers each number of GPUs that are not free now, and is not there without one."""
    row = tops(shown).get(TITLE)
    assert ([] if row is None else [child.label for child in row.children]) == offered


def test_a_big_machine_has_a_menu_of_bounded_length():
    """Of many GPUs sixteen numbers are offered at most."""
    many = snapshot([gpu(n) for n in range(64)], [process(n + 1, n) for n in range(64)])
    assert len(tops(many)[TITLE].children) == 16


def test_what_is_asked_for_is_shown_and_not_offered_again():
    """A wish has a row of its own with "Cancel", bound to its number."""
    row = tops(snapshot(), awaited=(PendingReminder(3, "2", "2 GPUs are free for 1 min"),))
    waiting, choice = row[TITLE].children
    assert (waiting.label, choice.label) == (
        "You will be notified when 2 GPUs are free for 1 min",
        "1 GPU is free",
    )
    (cancel,) = waiting.children
    assert (cancel.label, cancel.action) == ("Cancel", MenuAction(ActionKind.WHEN_CANCEL, "3"))


def test_what_is_due_says_so():
    """What has come about and could not be told yet stands there with what it is."""
    row = tops(snapshot(), awaited=(PendingReminder(3, "2", "it is over", due=True),))[TITLE]
    assert row.children[0].label == "About to notify you: it is over"


def test_without_the_means_to_cancel_it_is_there_to_read():
    """Where nothing can be cancelled the row stays, and does nothing."""
    (row,) = tops(snapshot(), frozenset(), awaited=(PendingReminder(3, "2", "x"),))[TITLE].children
    assert (row.label, row.enabled, row.action) == ("You will be notified when x", False, None)


def submenu(shown, **more):
    """Return the labels below the first process."""
    first = next(row for label, row in tops(shown, **more).items() if label.startswith("GPU 0"))
    held = next(row for row in first.children if row.subject)
    return {row.label: row for row in held.children}


@pytest.mark.parametrize("facts", [{}, {"mine": False}, {"mine": None, "user": UNKNOWN}])
def test_any_process_can_be_waited_for(facts):
    """Anybody's end can be told, bound to the process's identity; once asked, the row says so."""
    one = process(**facts)
    target = f"{one.pid}:{one.identity}"
    shown = snapshot(processes=[one])
    assert submenu(shown)["Notify me when it ends"].action == MenuAction(ActionKind.WHEN_ENDS, target)
    below = submenu(shown, awaited=(PendingReminder(1, target, "it ends"),))
    assert "Notify me when it ends" not in below
    assert not below["You will be notified when it ends"].enabled


def test_a_process_without_a_number_cannot_be_waited_for():
    """A driver that lists PID 0 names nobody."""
    assert "Notify me when it ends" not in submenu(snapshot(processes=[process(0)]))


def users(*processes):
    more = tops(snapshot(processes=processes))["More"].children
    row = next((row for row in more if row.label == "Users"), None)
    return None if row is None else [child.label for child in row.children]


NOT_READ = Missing(Why.ERROR, "busy")


@pytest.mark.parametrize(
    ("processes", "lines"),
    [
        # one known user: the rows of the GPUs say it all
        ((), None),
        ((process(), process(8, 1)), None),
        # two: the larger first; a process on two GPUs is one process
        (
            (process(memory=GIB), process(gpu=1, memory=GIB), process(8, 1, user="bob", memory=4 * GIB)),
            ["bob · 4.0 GiB · 1 GPU · 1 process", "alice · 2.0 GiB · 2 GPUs · 1 process"],
        ),
        # unknown owners together, last, and as what they are, though they be all there is
        ((process(user=UNKNOWN),), ["owner unknown · 2.8 GiB · 1 GPU · 1 process"]),
        (
            (process(user=NOT_READ, memory=9 * GIB), process(8, user=UNKNOWN, memory=GIB), process(9)),
            ["alice · 2.8 GiB · 1 GPU · 1 process", "owner unknown · 10.0 GiB · 1 GPU · 2 processes"],
        ),
        # what is not known is not 0
        (
            (
                process(user=UNKNOWN, memory=NOT_READ),
                process(8, None, memory=GIB),
                process(9, memory=UNKNOWN),
            ),
            [
                "alice · 1.0 GiB and more · 1+? GPUs · 2 processes",
                "owner unknown · memory ? · 1 GPU · 1 process",
            ],
        ),
        ((process(8, None, user=UNKNOWN),), ["owner unknown · 2.8 GiB · ? GPUs · 1 process"]),
    ],
)
def test_each_user_has_a_line(processes, lines):
    """More than one user, or an owner that cannot be told, makes a submenu with the totals of each."""
    assert users(*processes) == lines


def test_the_rows_have_keys_of_their_own():
    """A user who is called like the unknown owners is another row."""
    shown = snapshot(processes=[process(user="owner unknown"), process(8, user=UNKNOWN)])
    keys = [row.key for row in tops(shown)["More"].children[0].children]
    assert len(set(keys)) == 2
