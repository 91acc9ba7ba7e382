"""The menu's rows about a lab, as pure values."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpuwatch_tray.model import (
    UNKNOWN,
    UNSUPPORTED,
    FeedState,
    HostState,
    HostView,
    LabStatus,
    LabView,
    Level,
    PendingReminder,
    Problem,
    Severity,
    Snapshot,
)
from gpuwatch_tray.model.units import local_time
from gpuwatch_tray.tray import menu
from gpuwatch_tray.tray.backends import nodes
from gpuwatch_tray.tray.backends.menu_host import ROOT
from gpuwatch_tray.tray.backends.menu_plan import MAX_ROWS
from gpuwatch_tray.tray.backends.menu_tree import MenuTree
from gpuwatch_tray.tray.menu import ActionKind, HostDetail, LabExtras, MenuAction, MenuExtras
from gpuwatch_tray.tray.menu.shown_hosts import MAX_HOSTS, ShownHosts
from tests.support.lab_status import (
    OF_LAB,
    SILENCE,
    away,
    fleet,
    lab_alert,
    lab_status,
    lab_view,
    remote,
    told,
    well,
    with_lab,
)
from tests.support.tray_status import NOW, alert, snapshot
from tests.tray.panels import GNOME, GTK, LXQT, PLASMA, Loop, Menu, Panel

ONE_OF_EACH = (well("a", free=2), well("b", mine=3), away("c"))
SILENT = LabExtras(may_silence=True)


def rows_of(lab, extras=None, **more):
    return menu.build_menu(with_lab(lab, **more), extras=MenuExtras(lab=extras or LabExtras()))


def find(rows, *way):
    """The row at the end of the way, each step the beginning of a label."""
    row = None
    for step in way:
        row = next(row for row in rows if row.label.startswith(step))
        rows = row.children
    return row


def labels_of(rows):
    return [row.label for row in rows if not row.separator]


def walk(rows):
    for row in rows:
        yield row
        yield from walk(row.children)


def test_the_lab_stands_between_the_alerts_and_this_computer():
    """A row each for one's own, the free, and those that do not answer: some ten beside the alerts."""
    rows = rows_of(lab_status(*ONE_OF_EACH), notes=("Email is off",))
    assert labels_of(rows) == [
        "Lab: 3 of 24 GPUs free",
        "Email is off",
        "No alerts",
        "Yours: 3 GPUs · unknown on 1 host",
        "Free: 2 of 16 GPUs · unknown on 1 host",
        "Not answering: 1 host",
        "This computer · 2 GPUs · 24.6 / 48 GiB",
        "Snooze all",
        "Notify me when…",
        "Show details…",
        "More",
        "Quit",
    ]


def test_a_desk_without_gpus_has_no_row_for_them():
    """That it has no driver is no news to who watches a lab from there."""
    none = Snapshot("nvml", NOW, problem=Problem("no driver", no_driver=True))
    rows = menu.build_menu(with_lab(lab_status(*ONE_OF_EACH), shown=none))
    assert not any(row.key in {"problem", "gpus"} for row in rows)


@pytest.mark.parametrize("state", [state for state in HostState if state is not HostState.OK])
def test_nothing_is_free_or_none_where_it_is_not_known(state):
    """All hosts lost: no row says 0 of anything, and none says that nothing is wrong."""
    lab = lab_status(
        away("a", state), away("b", state), level=Level.NO_DATA, headline="no host is known to be well"
    )
    shown = labels_of(walk(rows_of(lab, level=Level.NO_DATA)))
    assert not any(label.startswith(("Free: 0", "Yours: 0")) for label in shown)
    assert "Nothing is wrong now" not in shown
    if state is not HostState.GONE:
        assert {"Free: not known", "Yours: not known"} <= set(shown)


@pytest.mark.parametrize(
    ("lab", "label"),
    [
        (LabStatus(Level.NO_DATA, "Reading the lab for the first time", NOW), "Reading the lab for"),
        (
            lab_status(
                view=LabView("Prometheus", NOW, problem=Problem("it answers 503", "start it")),
                level=Level.NO_DATA,
                headline="No data of the lab: it answers 503",
            ),
            "Lab: it answers 503",
        ),
        (
            lab_status(view=LabView("Prometheus", NOW), level=Level.NO_DATA, headline="No data of the lab"),
            "No data of the lab",
        ),
    ],
)
def test_a_lab_that_cannot_be_read_is_one_row_with_the_reason(lab, label):
    """No host is shown that was there before; below the row stand the reason and what to do."""
    rows = rows_of(lab, level=Level.NO_DATA)
    row = next(row for row in rows if row.key == "lab")
    assert row.label.startswith(label)
    assert not [other for other in rows if other.key.startswith("lab:")]
    if lab.view is not None and lab.view.problem is not None:
        assert labels_of(row.children) == ["it answers 503", "start it"]


def test_where_users_are_not_told_no_one_computes_on_nothing():
    """An exporter without users: one's own GPUs are not known, though every host answers."""
    rows = rows_of(lab_status(well("a", mine=UNKNOWN), well("b", mine=UNKNOWN)))
    assert find(rows, "Yours").label == "Yours: not known"


def test_looks_free_is_always_called_so():
    """Where processes are not known a count of idle GPUs is never called free."""
    rows = rows_of(lab_status(well("a", free=UNKNOWN, looks_free=3), well("b", free=1)))
    assert find(rows, "Free or looking so: 4 of 16 GPUs", "a · ").label == "a · 3 look free"
    assert find(rows, "Free or looking so", "b · ").label == "b · 1 of 8 free · up to 80.0 GiB"


def test_five_hundred_hosts_are_twelve_a_list_by_name():
    """What is left out is counted, and the details page has it; the whole menu stays within its limit."""
    rows = rows_of(lab_status(*fleet(500)))
    free = find(rows, "Free").children
    assert len(free) == MAX_HOSTS + 1
    assert labels_of(free[:-1]) == sorted(labels_of(free[:-1]))
    count = sum(1 for host in fleet(500) if host.state is HostState.OK and host.free)
    assert free[-1].label == f"… {count - MAX_HOSTS} more · Show details…"
    assert free[-1].action == MenuAction(ActionKind.SHOW_DETAILS)
    tree = MenuTree()
    tree.update(nodes.menu_entries(rows, print), 0.0)
    assert len(tree.nodes) <= MAX_ROWS


def test_the_listed_hosts_stay_while_others_change_a_little():
    """Of hundreds with free GPUs the same twelve stand there, until another has twice as many."""
    shown = ShownHosts()
    hosts = [well(f"h{number:02}", free=2) for number in range(40)]

    def listed():
        return [host.name for host in shown.choose("free", hosts, lambda host: host.free)]

    first = listed()
    hosts[39] = well("h39", free=4)
    assert listed() == first
    hosts[39] = well("h39", free=5)
    assert set(listed()) - set(first) == {"h39"}
    assert listed() == sorted(listed())


def test_a_host_is_asked_when_its_list_opens():
    """Its row asks for it; the rows of its GPUs are there before and get their words with the answer."""
    lab = lab_status(well("a", free=1, gpus=2, expected=2))
    row = find(rows_of(lab), "Free", "a · ")
    assert row.opening == MenuAction(ActionKind.ASK_HOST, "a")
    before = find(rows_of(lab), "Free", "a · ").children
    asking = find(rows_of(lab, LabExtras({"a": HostDetail(NOW)})), "Free", "a · ").children
    read = replace(told(), at=NOW - 7)
    after = find(rows_of(lab, LabExtras({"a": HostDetail(NOW, read)})), "Free", "a · ").children
    assert [row.key for row in before] == [row.key for row in asking] == [row.key for row in after]
    assert [bool(row.children) for row in before] == [bool(row.children) for row in after]
    assert "Read its GPUs now" in labels_of(before)
    assert "reading…" in labels_of(asking)
    as_of = [label for label in labels_of(after) if label.startswith("as of ")]
    assert as_of == [f"as of {local_time(NOW - 7, '%H:%M:%S')}"]  # when it was read, not when it was asked
    (gpu,) = [row for row in after if row.label.startswith("GPU 0 · ")]
    assert any("PID 4711" in label for label in labels_of(gpu.children))


def test_a_host_that_does_not_answer_is_told_and_not_asked():
    """Its row says why and since when; nobody asks it for GPUs."""
    row = find(rows_of(lab_status(well("b"), away("a"))), "Not answering", "a does not")
    assert row.label == "a does not answer: connection refused · 12 min"
    assert row.opening is None
    assert not [child for child in row.children if child.key.endswith("/told")]


def test_what_ssh_knows_already_needs_no_question():
    """A host that each poll reads GPU by GPU has its rows at once."""
    row = find(rows_of(lab_status(well("a", free=1, detail=told()))), "Free", "a · ")
    assert row.opening is None
    assert any(label.startswith("GPU 0 · ") for label in labels_of(row.children))


def test_the_reason_why_a_host_said_nothing_stands_in_the_row_that_was_there():
    """A question that failed changes one row's words, and leaves those of the GPUs as they were."""
    lab = lab_status(well("a", free=1, gpus=2, expected=2))
    failed = LabExtras({"a": HostDetail(NOW, Snapshot("a", NOW, problem=Problem("no answer within 5 s")))})
    below = find(rows_of(lab, failed), "Free", "a · ").children
    assert "no answer within 5 s" in labels_of(below)
    assert [row.label for row in below if row.key.endswith(("gpu:0", "gpu:1"))] == ["GPU 0", "GPU 1"]


def test_no_process_of_another_host_can_be_ended_from_here():
    """Its rows are there to read: no action names a process, even one of one's own."""
    lab = lab_status(well("a", free=1, detail=told()))
    rows = find(rows_of(lab), "Free", "a · ").children
    assert {row.action.kind for row in walk(rows) if row.action} == {ActionKind.COPY_SSH}


def test_alerts_of_the_lab_stand_among_those_of_this_computer():
    """The worst first, whichever side it is of; each is acknowledged in its own state."""
    lab = lab_status(*ONE_OF_EACH, level=Level.CRITICAL, alerts=[lab_alert()])
    rows = rows_of(lab, level=Level.CRITICAL, alerts=(alert("a1", "GPU_COUNT(3) > GPU_LIMIT(2)"),))
    row = next(row for row in rows if row.key == "alerts")
    assert labels_of(row.children) == [
        "Critical: h0033: a GPU is lost",
        "Warning: GPU_COUNT(3) > GPU_LIMIT(2)",
    ]
    kinds = [row.action.kind for row in row.children[0].children if row.action]
    assert kinds == [ActionKind.LAB_ACKNOWLEDGE, ActionKind.LAB_SNOOZE]
    assert {row.action.target for row in row.children[0].children if row.action} == {lab_alert().fingerprint}


def test_silencing_for_everyone_is_asked_once_and_only_where_it_is_on():
    """Without LAB_SILENCE no row offers it; with it one more click is needed, below what it means."""
    lab = lab_status(view=lab_view(*ONE_OF_EACH, alerts=(remote(),)), alerts=[lab_alert()])
    quiet = labels_of(walk(rows_of(lab, level=Level.CRITICAL)))
    assert not [label for label in quiet if "for everyone" in label]
    rows = rows_of(lab, SILENT, level=Level.CRITICAL)
    ask = find(rows, "Critical: h0033", "Silence 2 h for everyone…")
    assert ask.action is None
    assert labels_of(ask.children) == [
        "For 2 h, nobody who gets this alert is told of it",
        "Silence it for everyone now",
    ]
    assert ask.children[1].action == MenuAction(ActionKind.LAB_SILENCE, "f1")


def test_silences_of_others_are_shown_with_author_and_end():
    """They can be read; only one that was made here can be ended from here."""
    theirs = remote("f1", silences=(SILENCE,))
    ours = remote("f2", "h0001", silences=(replace(SILENCE, id="s2", author="ada@desk", ours=True),))
    lab = lab_status(view=lab_view(*ONE_OF_EACH, alerts=(theirs, ours)))
    rows = find(rows_of(lab, SILENT), "No alerts", "Other alerts in the Alertmanager: 2").children
    text = "\n".join(labels_of(walk(rows)))
    assert "silenced by bob until" in text
    assert ": new fan" in text
    ends = [row.action for row in walk(rows) if row.action]
    assert ends == [MenuAction(ActionKind.LAB_EXPIRE, "s2")]


def test_what_can_be_waited_for_in_the_lab():
    """Numbers that are not free now and that some host, or all of them, have; a pending one can be ended."""
    waits = (PendingReminder(3, "8@*", "8 GPUs are free on * for 1 min"),)
    lab = lab_status(well("a", free=2), well("b", free=1), awaited=waits)
    rows = find(rows_of(lab), "Notify me when…").children
    one = next(row for row in rows if row.label == "On one host of the lab").children
    assert [(row.label, row.action.target) for row in one] == [
        ("4 GPUs are free", "4"),
        ("8 GPUs are free", "8"),
    ]
    over = next(row for row in rows if row.label == "On all hosts of the lab together").children
    assert [row.action.target for row in over] == ["4+", "8+", "16+"]
    cancel = find(rows, "You will be notified when 8 GPUs", "Cancel")
    assert cancel.action == MenuAction(ActionKind.LAB_WHEN_CANCEL, "3")


def test_a_wait_that_is_too_long_for_its_row_stands_below_it_in_full():
    """Nobody could tell two of them apart by their beginnings."""
    text = "8 GPUs are free on all hosts of the lab together for 1 min (GPUs that look free count)"
    row = find(
        rows_of(lab_status(awaited=(PendingReminder(3, "8+@*", text),))), "Notify me when…", "You will be"
    )
    *told, cancel = labels_of(row.children)
    assert " ".join(map(str.strip, told)) == f"You will be notified when {text}"
    assert cancel == "Cancel"


def waited_for(*hosts, looks=True, **more):
    """The rows below "Notify me when…" that are about the lab, in order."""
    rows = rows_of(lab_status(*hosts, **more), LabExtras(looks_free=looks))
    return [row for row in find(rows, "Notify me when…").children if row.key.startswith("lab ")]


def test_gpus_that_look_free_can_be_waited_for_and_are_called_so():
    """As on the command line, where LAB_LOOKS_FREE is on; beside hosts that know, the row says either."""
    silent = {"free": UNKNOWN, "expected": UNKNOWN, "looks_free": 1}
    one, over = waited_for(well("a", **silent), well("b", **silent))
    assert [row.label for row in one.children] == [f"{count} GPUs look free" for count in (2, 4, 8)]
    assert [row.action.target for row in over.children] == ["4+", "8+", "16+"]
    one, _over = waited_for(well("a", **silent), well("b", free=2))
    assert [row.label for row in one.children] == [f"{count} GPUs are free, or look so" for count in (4, 8)]


@pytest.mark.parametrize(
    ("hosts", "looks", "why"),
    [
        ((well("a", free=UNSUPPORTED, expected=UNKNOWN),), False, "no exporter tells which GPUs are free"),
        ((well("a", gpus=UNKNOWN, free=UNKNOWN),), False, "a list names processes, not idle GPUs"),
        ((well("a", free=UNKNOWN),), False, "is not known now"),
        ((well("a", free=UNSUPPORTED), away("b")), False, "is not known now"),
        ((away("a"),), True, "is not known now"),
    ],
)
def test_where_free_gpus_cannot_be_told_the_menu_says_why(hosts, looks, why):
    """In rows that are there to read: nothing that could never come is offered, and nothing is left out."""
    rows = waited_for(*hosts, looks=looks)
    assert why in " ".join(row.label.strip() for row in rows)
    assert not any(row.enabled or row.action for row in rows)


def test_beside_a_lab_this_computers_gpus_are_waited_for_below_a_row_of_its_own():
    """A number alone would not say where."""
    here = find(menu.build_menu(with_lab(lab_status(*ONE_OF_EACH))), "Notify me when…", "On this computer")
    assert [row.action.kind for row in here.children] == [ActionKind.WHEN_FREE] * 2


def test_what_limits_the_reading_is_one_row_of_the_lab():
    """Notes and an Alertmanager that cannot be believed, below it in full; what does not leave is above."""
    notes = tuple(f"exporter {count} does not tell processes" for count in range(9))
    lab = lab_status(view=lab_view(*ONE_OF_EACH, notes=notes, feed=FeedState.UNREACHABLE, feed_problem="503"))
    rows = rows_of(replace(lab, notes=(*notes, "Email: 2 wait")))
    row = next(row for row in rows if row.key == "lab:notes")
    assert row.label == "Note: The Alertmanager does not answer: 503 · +9"
    assert [row.key for row in rows].index("lab:notes") > [row.key for row in rows].index("lab:unread")
    *told, rest = labels_of(row.children)
    assert told == ["The Alertmanager does not answer: 503", *notes[:5]]
    assert rest == "… 4 more · Show details…"
    assert next(row for row in rows if row.key == "notes").label == "Email: 2 wait"
    assert not any(row.key == "lab:notes" for row in rows_of(lab_status(*ONE_OF_EACH)))


def test_hosts_that_left_the_list_are_counted_apart():
    """They are not among those that do not answer; alone they are the row."""
    gone = away("c", HostState.GONE)
    assert find(rows_of(lab_status(well("a"), away("b"), gone)), "Not answering").label == (
        "Not answering: 1 host · No longer on the list: 1"
    )
    assert find(rows_of(lab_status(well("a"), gone)), "No longer").label == "No longer on the list: 1"


def test_links_are_those_of_the_settings():
    """Nothing that an answer names can be opened."""
    lab = lab_status(view=lab_view(*ONE_OF_EACH, alerts=(remote(text="see http://evil.example"),)))
    rows = rows_of(lab, LabExtras(links=(("Prometheus", "https://p.example"),)))
    opened = [
        row.action.target for row in walk(rows) if row.action and row.action.kind is ActionKind.OPEN_LINK
    ]
    assert opened == ["https://p.example"]


def test_foreign_names_are_one_harmless_line():
    """A host, an alert and a silence with control characters and secrets reach the menu without either."""
    evil = "h\n\u202e<b>password=hunter2"
    host = HostView(evil, HostState.OK, NOW, gpus=8, expected=8, free=1)
    bad = remote("f1", evil, text=evil, silences=(replace(SILENCE, comment=evil, author=evil),))
    lab = lab_status(view=lab_view(host, alerts=(bad,)), alerts=[lab_alert(text=evil)])
    text = "".join(labels_of(walk(rows_of(lab, SILENT, level=Level.CRITICAL))))
    assert "\n" not in text
    assert "\u202e" not in text
    assert "hunter2" not in text


def test_keys_are_unique_in_a_whole_menu():
    """A host in two lists has two rows with keys of their own."""
    both = well("a", free=2, mine=3, detail=told())
    lab = lab_status(view=lab_view(both, away("b"), alerts=(remote(),)), alerts=[lab_alert()])
    keys = [row.key for row in walk(rows_of(lab, SILENT, level=Level.CRITICAL))]
    assert sorted({key for key in keys if keys.count(key) > 1}) == []


def full():
    """A lab with something of each kind to click on."""
    ours = remote("f2", "h0001", silences=(replace(SILENCE, id="s2", ours=True),))
    view = lab_view(well("a", free=2), away("b"), alerts=(remote(), ours))
    waits = (PendingReminder(3, "8@*", "8 GPUs are free on *"),)
    return lab_status(view=view, alerts=[lab_alert()], awaited=waits)


@pytest.mark.parametrize("act", sorted(OF_LAB, key=lambda act: act.name))
def test_a_row_about_the_lab_is_shown_only_where_its_act_works(act):
    """What nobody can carry out here is not offered, and a submenu without a choice is none."""
    extras = MenuExtras(lab=LabExtras(links=(("Prometheus", "https://p"),), may_silence=True))
    shown = with_lab(full(), level=Level.CRITICAL)
    none = list(walk(menu.build_menu(shown, frozenset(), extras)))
    assert not any(row.action or row.opening for row in none)
    only = list(walk(menu.build_menu(shown, {act}, extras)))
    assert {row.action.kind for row in only if row.action} == {act}
    if act is ActionKind.ASK_HOST:
        assert [row.label for row in only if row.opening] == ["a · 2 of 8 free · up to 80.0 GiB"]


def test_the_tooltip_names_the_lab_and_then_the_gpus():
    """Two lines where this computer has an alert; one where the lab is what the first line says."""
    lab = lab_status(*ONE_OF_EACH)
    calm = menu.tooltip(with_lab(lab))
    assert calm[0] == "Lab: 3 of 24 GPUs free"
    assert len([line for line in calm if line.startswith("Lab: ")]) == 1
    hot = menu.tooltip(with_lab(lab, level=Level.WARNING, alerts=(alert(severity=Severity.WARNING),)))
    assert hot[:2] == ("GPU_COUNT(3) > GPU_LIMIT(2)", "Lab: 3 of 24 GPUs free")
    assert snapshot().gpus[0].name == "RTX 4090"
    assert hot[2].startswith("GPU 0")


def test_an_alert_of_ours_that_is_silenced_says_so():
    """It goes on standing there, with who silenced it; silencing it once more is not offered."""
    there = remote(silences=(SILENCE,))
    lab = lab_status(view=lab_view(*ONE_OF_EACH, alerts=(there,)), alerts=[lab_alert(there)])
    row = next(row for row in rows_of(lab, SILENT, level=Level.CRITICAL) if row.key == "alerts")
    assert row.label.endswith(" · silenced")
    labels = labels_of(walk([row]))
    assert any(label.startswith("silenced by bob until") for label in labels)
    assert "Silence 2 h for everyone…" not in labels


@pytest.mark.parametrize("habits", [LXQT, PLASMA, GTK, GNOME], ids=lambda habits: habits.name)
def test_the_answer_comes_into_the_open_list_and_moves_no_row(habits):
    """On every panel the opening asks the host, and its GPUs get their words where they stand."""
    lab = lab_status(well("a", free=1, gpus=2, expected=2))
    asked, loop = [], Loop()
    served = Menu(loop)

    def present(details):
        rows = rows_of(lab, LabExtras(details))
        served.update(nodes.menu_entries(rows, asked.append))

    present({})
    panel = Panel(served, habits)
    panel.open(ROOT)
    free = next(row for row in panel.visible(ROOT) if panel.label(row).startswith("Free"))
    panel.open(free)
    assert asked == []
    host = next(row for row in panel.visible(free) if panel.label(row).startswith("a · "))
    panel.open(host)
    assert set(asked) == {MenuAction(ActionKind.ASK_HOST, "a")}
    before = panel.visible(host)
    present({"a": HostDetail(NOW, told())})
    panel.deliver()
    assert panel.visible(host) == before
    assert any(panel.label(row).startswith("GPU 0 · ") for row in panel.visible(host))
    assert any(panel.label(row).startswith("as of ") for row in panel.visible(host))
