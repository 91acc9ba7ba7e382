"""The menu under a hand, as panels speak to the running tray over a private bus."""

from __future__ import annotations

import time

import pytest
from dbus_fast import Variant  # the tests speak the protocol too

from gpuwatch_tray.model import Level
from tests.e2e.client import DAEMON, CallError, Monitor
from tests.e2e.peers import running_tray
from tests.e2e.rig import menu_row
from tests.support.timing import wait_until
from tests.support.tray_status import alert, gpu, named_process, snapshot, status

pytestmark = pytest.mark.desktop


def held(pid, ran):
    return named_process(f"{pid}.py", pid, ran=ran)


HELD = (held(1, 500.0), held(2, 90.0))
ONE_GPU = status(shown=snapshot([gpu(0)], HELD))


@pytest.fixture
def live_tray(address, client):
    with running_tray(address, client, ONE_GPU) as running:
        client.listen(f"type='signal',sender='{running.name}'")
        yield running


def signals(live_tray):
    """Return the signals but those of the tooltip, which changes with every number."""
    return [name for name in live_tray.signals() if name != "NewToolTip"]


def show(live_tray, *processes, level=Level.OK, **more):
    live_tray.show(status(level, snapshot([gpu(0)], list(processes)), **more))


def ask(live_tray, row=0):
    """AboutToShow, as lxqt-panel asks: whether the rows must be fetched first."""
    (answer,) = live_tray.client.call(live_tray.menu_peer, "AboutToShow", "i", row)
    return answer


def ids(live_tray, row=0):
    """Return the visible rows of a list; below a GPU without its name in full."""
    return [child.id for child in menu_row(live_tray.layout(row)[1]).children if "fan" not in child.label]


def gpu_row(live_tray):
    return next(row.id for label, row in live_tray.rows().items() if label.startswith("GPU 0"))


def labels(live_tray, row):
    shown = [child.label for child in menu_row(live_tray.layout(row)[1]).children]
    return [label.split(" · ")[0] for label in shown if "fan" not in label]


def opened(live_tray):
    """Open the menu and its GPU's list on a panel that reports it."""
    ask(live_tray)
    live_tray.event(0, "opened")
    row = gpu_row(live_tray)
    ask(live_tray, row)
    live_tray.event(row, "opened")
    signals(live_tray)
    return row


def test_a_text_change_is_sent_as_a_property(live_tray, client):
    """Numbers that run do not rebuild the menu."""
    signals(live_tray)
    live_tray.show(status(shown=snapshot([gpu(0, utilisation=12)], HELD)))
    assert signals(live_tray) == ["ItemsPropertiesUpdated"]
    assert any("12 %" in label for label in live_tray.rows())


def test_a_structure_change_is_sent_with_the_layouts_revision(live_tray, client):
    """LayoutUpdated names the parent and the revision that GetLayout then gives."""
    row = gpu_row(live_tray)
    client.heard.clear()
    show(live_tray, *HELD, held(3, 5.0))
    client.call(DAEMON, "GetId")
    (updated,) = client.of("LayoutUpdated")
    assert updated.body == (live_tray.layout()[0], row)
    assert labels(live_tray, row) == ["python 1.py", "python 2.py", "python 3.py"]


def test_in_an_open_menu_only_properties_change(live_tray, client):
    """A process ends and keeps its place, another comes last, an alert has its row: the layout stands."""
    row = opened(live_tray)
    root, before, revision = ids(live_tray), ids(live_tray, row), live_tray.layout()[0]
    show(live_tray, HELD[1], held(3, 5.0), level=Level.WARNING, alerts=(alert(),))
    assert set(signals(live_tray)) == {"ItemsPropertiesUpdated", "NewIcon"}
    assert labels(live_tray, row) == ["Ended: python 1.py", "python 2.py", "python 3.py"]
    assert ids(live_tray, row)[:2] == before
    assert ids(live_tray) == root
    assert "Warning: GPU_COUNT(3) > GPU_LIMIT(2)" in live_tray.rows()
    assert live_tray.layout()[0] > revision  # the new rows' own submenus, of which no panel need be told yet
    live_tray.event(0, "closed")
    wait_until(lambda: labels(live_tray, row) == ["Show details…"], "the lists to be forgotten")
    show(live_tray, HELD[1], held(3, 7.0), held(4, 5.0))
    assert not {"ItemsPropertiesUpdated", "LayoutUpdated"} & set(signals(live_tray))
    assert ask(live_tray) is True
    assert labels(live_tray, gpu_row(live_tray)) == ["python 2.py", "python 3.py", "python 4.py"]


def test_the_submenu_of_a_row_that_came_meanwhile_is_fetched_when_it_is_asked_for(live_tray):
    """The answer is yes, once, and the rows are there."""
    row = opened(live_tray)
    show(live_tray, *HELD, held(3, 5.0))
    new = ids(live_tray, row)[-1]
    assert ask(live_tray, new) is True
    assert any(label.startswith("Command:") for label in labels(live_tray, new))
    assert ask(live_tray, new) is False


def test_a_panel_that_asks_for_rows_that_are_gone_is_told_to_fetch(live_tray, client):
    """Its layout is old; an event for such a row is nobody's, and no error."""
    row = opened(live_tray)
    (first, *_) = ids(live_tray, row)
    live_tray.event(0, "closed")
    wait_until(lambda: labels(live_tray, row) == ["Show details…"], "the lists to be forgotten")
    assert ask(live_tray, first) is True
    assert menu_row(live_tray.layout(first)[1]).children == ()
    live_tray.event(first, "clicked")
    assert client.call(live_tray.menu_peer, "GetGroupProperties", "aias", [first], []) == [[]]
    for member, signature, *body in (("AboutToShow", "i", 10**6), ("GetLayout", "iias", 10**6, 1, [])):
        with pytest.raises(CallError, match="no such menu row"):
            client.call(live_tray.menu_peer, member, signature, *body)


def test_a_process_that_has_ended_cannot_be_ended(live_tray, client):
    """The row that names it is there until the menu closes, and a click on what is below it does nothing."""
    row = opened(live_tray)
    (first, second) = ids(live_tray, row)
    ends = {one: end_row(live_tray, one) for one in (first, second)}
    show(live_tray, HELD[1])
    live_tray.event(ends[first], "clicked")
    live_tray.event(ends[second], "clicked")
    wait_until(lambda: live_tray.asked, "the click")
    assert live_tray.asked == [("end a process", f"2:{HELD[1].identity}")]


def end_row(live_tray, process_row):
    below = menu_row(live_tray.layout(process_row)[1])
    return next(row.id for row in below.walk() if row.label.startswith("End PID"))


def test_a_pid_given_anew_is_another_row(live_tray):
    """A click meant for the process that had the PID before reaches nobody."""
    row = opened(live_tray)
    former = end_row(live_tray, ids(live_tray, row)[0])
    show(live_tray, held(1, 1.0), HELD[1])
    assert labels(live_tray, row) == ["Ended: python 1.py", "python 2.py", "python 1.py"]
    live_tray.event(former, "clicked")
    live_tray.event(0, "closed")
    wait_until(lambda: labels(live_tray, row) == ["Show details…"], "the lists to be forgotten")
    events = [[former, "clicked", Variant("i", 0), 0], [row, "hovered", Variant("i", 0), 0]]
    assert live_tray.client.call(live_tray.menu_peer, "EventGroup", "a(isvu)", events) == [[former]]
    assert not live_tray.asked


@pytest.mark.parametrize("member", ["AboutToShow", "AboutToShowGroup"])
def test_a_gtk_menu_is_not_made_longer_while_it_may_be_open(live_tray, client, member):
    """It would shift all its rows: a note waits for the next opening; an alert has a row already."""
    body, signature = (0, "i") if member == "AboutToShow" else ([0], "ai")
    yes, no = ([True], [False]) if member == "AboutToShow" else ([[0], []], [[], []])
    assert client.call(live_tray.menu_peer, member, signature, body) == no
    root = ids(live_tray)
    show(live_tray, HELD[1], held(3, 5.0), level=Level.WARNING, alerts=(alert(),), notes=("No email",))
    assert ids(live_tray) == root
    assert "Warning: GPU_COUNT(3) > GPU_LIMIT(2)" in live_tray.rows()
    assert labels(live_tray, gpu_row(live_tray)) == [
        "python 2.py",
        "python 3.py",
    ]  # a list that is not on the screen
    signals(live_tray)
    assert client.call(live_tray.menu_peer, member, signature, body) == yes
    live_tray.settle()
    assert signals(live_tray) == ["LayoutUpdated"]
    assert "No email" in [row.label for row in menu_row(live_tray.layout()[1]).children]
    assert client.call(live_tray.menu_peer, member, signature, body) == no


def test_the_layout_signal_follows_the_answer_that_announces_it(address, live_tray, client):
    """libdbusmenu-qt fetches at the answer and skips the next signal: it must be this one."""
    show(live_tray, *HELD, notes=("No email",))
    ask(live_tray)
    show(live_tray, *HELD)
    rules = [f"type='{kind}',sender='{live_tray.name}'" for kind in ("method_return", "signal")]
    with Monitor(address, rules) as monitor:
        assert ask(live_tray) is True
        wait_until(lambda: monitor.of("LayoutUpdated"), "the signal")
    heard = [one.member or one.body for one in monitor.heard]
    assert heard.index((True,)) < heard.index("LayoutUpdated")
    assert [one.body[1] for one in monitor.of("LayoutUpdated")] == [0]


def test_an_idle_tray_is_silent(live_tray, client):
    """With nothing new, closed or held open, not one signal is sent."""
    for prepare in (lambda: None, lambda: opened(live_tray), lambda: live_tray.event(0, "closed")):
        prepare()
        time.sleep(1.2)  # what follows a closing
        client.heard.clear()
        for _ in range(50):
            live_tray.show(ONE_GPU)
        time.sleep(0.2)
        assert [one.member for one in client.heard if one.member != "NameOwnerChanged"] == []
        client.call(DAEMON, "GetId")
        assert client.heard == []
