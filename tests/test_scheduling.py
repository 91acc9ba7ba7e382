"""The order in which the workers of `make test` get their files."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.support.scheduling import DesktopsFirst, of_a_desktop

PLAIN = ["tests/common/test_text.py", "tests/rules/test_rules.py", "tests/common/test_child.py"]
DESKTOP = ["tests/e2e/test_host_xfce.py", "tests/e2e/test_host_lxqt.py", "tests/e2e/test_panel.py"]
EACH = 4  # tests of a file


class Worker:
    """A worker that notes the places of the tests that it gets."""

    shutting_down = False

    def __init__(self, number):
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.got = []

    def send_runtest_some(self, places):
        self.got += places

    def shutdown(self):
        self.shutting_down = True


def scheduled(workers, lone=None):
    """Return the workers, what each has got as files, and a way to end the tests of one."""
    config = SimpleNamespace(
        getvalue=lambda _name: ["popen"] * workers, option=SimpleNamespace(loadscopereorder=True)
    )
    tests = [f"{file}::test_{n}" for file in (*PLAIN, *DESKTOP) for n in range(EACH)]
    tests += [f"{lone}::test_0"] if lone else []
    scheduler = DesktopsFirst(config)
    nodes = [Worker(number) for number in range(workers)]
    for node in nodes:
        scheduler.add_node(node)
    for node in nodes:
        scheduler.add_node_collection(node, tests)
    scheduler.schedule()

    def files(node):
        return list(dict.fromkeys(tests[place].partition("::")[0] for place in node.got))

    def finish(node):
        for place in list(node.got):
            scheduler.mark_test_complete(node, place)

    return nodes, files, finish


def test_a_file_of_a_desktop_is_known_by_its_mark():
    """By what stands in it, as nothing is imported for that."""
    assert list(map(of_a_desktop, (*PLAIN, *DESKTOP))) == [False] * 3 + [True] * 3


def test_all_workers_but_one_begin_with_a_desktop():
    """Of three, two; the third has other tests from the start."""
    nodes, files, _ = scheduled(3)
    assert [of_a_desktop(files(node)[0]) for node in nodes] == [True, True, False]


def test_the_next_desktop_follows_the_one_before():
    """Whoever ends a desktop's file gets the next one, before any other file."""
    nodes, files, finish = scheduled(3)
    finish(nodes[0])
    assert files(nodes[0])[:2] == [DESKTOP[0], DESKTOP[2]]
    assert not any(map(of_a_desktop, files(nodes[2])))


def test_few_long_tests_come_before_many():
    """A file of up to three tests is not kept for the end."""
    nodes, files, finish = scheduled(3, lone="tests/engine/test_month.py")
    assert files(nodes[2])[0] == "tests/engine/test_month.py"
    finish(nodes[2])
    assert files(nodes[2])[1] in PLAIN


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_test_is_run(workers):
    """Each once, however many workers there are."""
    nodes, _, finish = scheduled(workers)
    for _ in range(len(PLAIN) + len(DESKTOP)):
        for node in nodes:
            finish(node)
    assert sorted(place for node in nodes for place in node.got) == list(range(EACH * 6))
