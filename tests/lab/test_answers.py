"""Answers are foreign: checked, bounded, and harmless before anybody sees them."""

from __future__ import annotations

import pytest

from gpuwatch_tray.lab import answers
from gpuwatch_tray.lab.answers import (
    MOST_ROWS,
    by_instance,
    harmless,
    parse_alerts,
    parse_host_alerts,
    parse_samples,
    parse_silences,
    severity,
)
from gpuwatch_tray.lab.host_states import host_names
from gpuwatch_tray.lab.lab_error import LabError
from gpuwatch_tray.model import Severity


def vector(*rows):
    result = [{"metric": labels, "value": [1000.5, value]} for labels, value in rows]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def alert(**changes):
    entry = {
        "fingerprint": "aae1266a9bf0728d",
        "labels": {"alertname": "GpuLost", "instance": "h1:9836"},
        "annotations": {"summary": "lost"},
        "startsAt": "2026-01-07T15:27:48.123456789Z",
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
    }
    return entry | changes


def test_numbers_come_by_instance_and_what_is_none_has_no_row():
    """NaN is no number; infinity is one, that no count is; a row without a name is nobody's."""
    samples = parse_samples(
        "s",
        vector(
            ({"instance": "a"}, "1.5"), ({"instance": "b"}, "NaN"), ({}, "1"), ({"instance": "c"}, "+Inf")
        ),
    )
    assert by_instance(samples) == {"a": 1.5, "c": float("inf")}
    assert samples[0].at == 1000.5


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"status": "error"},
        {"status": "success", "data": {"resultType": "matrix", "result": []}},
        {"status": "success", "data": {"resultType": "vector", "result": {}}},
        vector(({"instance": 7}, "1")),
        vector(("instance", "1")),
        vector(({"instance": "a"}, "one")),
        {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}}]}},
    ],
)
def test_what_is_no_answer_is_an_error_and_never_an_empty_lab(answer):
    """Another program's JSON is told as such."""
    with pytest.raises(LabError, match="not as Prometheus does"):
        parse_samples("s", answer)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        [1],
        [alert(labels=None)],
        [alert(startsAt="yesterday")],
        [alert(status={})],
        [alert(fingerprint="../silences")],
        [alert(fingerprint="x" * 500)],
    ],
)
def test_what_is_no_list_of_alerts_is_an_error(answer):
    """A fingerprint that could be a part of an address is none."""
    with pytest.raises(LabError, match="not as Alertmanager does"):
        parse_alerts("s", answer)


def test_an_answer_of_too_many_rows_is_refused():
    """Whoever floods the lab with series does not flood the desk."""
    with pytest.raises(LabError, match="more than"):
        parse_samples("s", vector(*[({"instance": "a"}, "1")] * (MOST_ROWS + 1)))


def test_alerts_are_cut_in_labels_and_length():
    """Forty labels, and some hundred characters are enough for any screen."""
    labels = {f"l{n:03}": "v" * 1000 for n in range(100)} | {"alertname": "A"}
    (first,) = parse_alerts("s", [alert(labels=labels, annotations={"summary": "t" * 10_000})])
    assert (len(first.labels), len(first.text)) == (answers.MOST_LABELS, answers.TEXT_LENGTH)
    assert max(len(value) for _name, value in answers.shown_labels(first.labels)) == answers.LABEL_LENGTH


def test_no_text_hides_marks_or_shows_a_secret():
    """Marks that turn text round are escapes, newlines too; tokens and passwords are stars."""
    shown = harmless("a\u202eb\nc\x1b[31m password=hunter2secret https://ada:hunter2secret@host/")
    assert "hunter2secret" not in shown
    assert "\\u202e" in shown
    assert shown.isprintable()
    entry = parse_alerts("s", [alert(annotations={"summary": "token=hunter2secret\u202e"})])[0]
    assert "hunter2secret" not in entry.text
    assert entry.since == pytest.approx(1767799668.123, abs=0.01)


def test_silences_are_read_with_their_matchers():
    """An old one has no isEqual, which means equal; one of another state than active or pending is over."""
    entry = {
        "id": "0f0c7a1e-0000-4000-8000-000000000000",
        "status": {"state": "active"},
        "matchers": [{"name": "a", "value": "b", "isRegex": False}],
        "createdBy": "bob\u202e",
        "comment": "c",
        "endsAt": "2026-01-07T15:27:48.000Z",
    }
    first, second = parse_silences("s", [entry, entry | {"status": {"state": "expired"}}])
    assert first.matchers == {("a", "b", True, False)}
    assert (first.active, second.active, first.author) == (True, False, "bob\\u202e")


def test_severities_are_those_that_people_write():
    """Many words for three levels; what is not known is a warning."""
    words = {"critical": 3, "page": 3, "Error": 3, "warning": 2, "info": 1, "none": 1, "": 2, "odd": 2}
    assert {word: severity({"severity": word}) for word in words} == {
        w: Severity(n) for w, n in words.items()
    }


def test_hosts_alerts_are_told_only_where_somebody_judges():
    """A host with a 0 has none; one without a row is unknown; one that is not evaluated has no say."""
    samples = parse_samples(
        "s",
        vector(
            ({"instance": "a"}, "0"),
            ({"instance": "b"}, "0"),
            ({"instance": "b", "rule": "hung", "severity": "warning", "gpu": "1"}, "1"),
            ({"instance": "c", "rule": "hung", "severity": "warning", "gpu": "1"}, "1"),
        ),
    )
    found = parse_host_alerts(samples)
    assert found["a"] == ()
    assert [(one.rule, one.gpu) for one in found["b"]] == [("hung", "1")]
    assert "c" not in found


def test_hosts_are_called_by_their_names_and_never_two_alike():
    """Without the port, unless two would be the same; what is made harmless stays apart."""
    assert host_names(["h1:9836", "h2:9836", "h2:9400", "[::1]:9836", "::1", "plain", "a[1]:9", ":80"]) == {
        "h1:9836": "h1",
        "h2:9836": "h2:9836",
        "h2:9400": "h2:9400",
        "[::1]:9836": "[::1]:9836",
        "::1": "::1",
        "plain": "plain",
        "a[1]:9": "a[1]",
        ":80": ":80",
    }
    odd = host_names(["a" * 300 + "1", "a" * 300 + "2"])
    assert len(set(odd.values())) == 2
