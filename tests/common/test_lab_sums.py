"""The sums over a lab's hosts in words, the same in the menu and on the page."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.common.lab_sums import free_text, mine_text, unread_text
from gpuwatch_tray.model import UNKNOWN, HostState
from tests.support.lab_status import away, well

KNOWN = st.integers(0, 8)
WELL = st.builds(lambda free, mine: well("a", free=free, mine=mine), KNOWN, KNOWN)
UNTOLD = st.just(well("b", free=UNKNOWN, mine=UNKNOWN))
LOST = st.sampled_from([away("c", state) for state in HostState if state is not HostState.OK])


@given(st.lists(WELL, min_size=1), st.lists(UNTOLD | LOST))
def test_what_is_not_known_is_beside_each_sum_and_in_none(told, untold):
    """However many hosts are lost: the sums are those of the others, and the lost ones are counted."""
    hosts = [*told, *untold]
    left = [host for host in untold if host.state is not HostState.GONE]
    beside = "" if not left else f" · unknown on {len(left)} host{'s'[: len(left) != 1]}"
    free, mine = (sum(getattr(host, name) for host in told) for name in ("free", "mine"))
    assert free_text(hosts) == f"Free: {free} of {8 * len(told)} GPUs{beside}"
    assert mine_text(hosts) == f"Yours: {mine} GPU{'s'[: mine != 1]}{beside}"


@given(st.lists(UNTOLD | LOST))
def test_nothing_known_is_never_a_number(hosts):
    """Nor are there no free GPUs where nobody tells."""
    assert (free_text(hosts), mine_text(hosts)) == ("Free: not known", "Yours: not known")


def test_hosts_that_left_the_list_are_told_from_those_that_do_not_answer():
    """One may be off on purpose; of none there is no text."""
    gone = away("a", HostState.GONE)
    assert unread_text([away("b"), away("c", HostState.BLIND), gone]) == (
        "Not answering: 2 hosts · No longer on the list: 1"
    )
    assert unread_text([gone]) == "No longer on the list: 1"
    assert unread_text([well("a")]) == ""
