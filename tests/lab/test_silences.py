"""Silences for everyone, in a real Alertmanager: made once, of all labels, with an end, and ended here."""

from __future__ import annotations

import json
import stat
import time
import urllib.error
import urllib.request

import pytest
from msgspec.structs import replace

from gpuwatch_tray.lab.alertmanager import Alertmanagers
from gpuwatch_tray.lab.http import LabServer
from gpuwatch_tray.lab.lab_error import LabError
from gpuwatch_tray.lab.silences_made import SilencesMade
from gpuwatch_tray.settings import LabSettings
from tests.lab.rig import read_until
from tests.lab.scripted import GivenSecret
from tests.support.installed import closed_port
from tests.support.prometheus import Alertmanager

HOUR = 3600.0
BY = {"author": "ada@desk", "comment": "is being repaired"}


@pytest.fixture(scope="module")
def manager():
    with Alertmanager() as running:
        yield running


def call(manager, path, value=None):
    """Ask the Alertmanager directly."""
    data = None if value is None else json.dumps(value).encode()
    asked = urllib.request.Request(  # the local Alertmanager
        f"http://127.0.0.1:{manager.port}{path}", data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        return json.loads(answer.read() or "null")


@pytest.fixture
def alert(manager, request):
    """The labels of an alert that stands in it, of this test alone."""
    labels = {"alertname": "GpuLost", "instance": f"{request.node.name}:9836", "severity": "critical"}
    call(manager, "/api/v2/alerts", [{"labels": labels, "annotations": {"summary": "lost"}}])
    return labels


@pytest.fixture
def lab(rig_of_one):
    return rig_of_one()


@pytest.fixture
def rig_of_one(manager, tmp_path):
    """What silences in that Alertmanager, with a file of its own."""
    from gpuwatch_tray.lab.prometheus import PrometheusLab

    made = []

    def open_lab(folder=tmp_path, **settings):
        values = {
            "prometheus": (f"http://127.0.0.1:{closed_port()}",),
            "alertmanager": (f"http://127.0.0.1:{manager.port}",),
            "silence": True,
        }
        lab = PrometheusLab(
            replace(LabSettings(), **values | settings),
            GivenSecret(),
            SilencesMade(folder / "made.json"),
        )
        made.append(lab)
        return lab

    yield open_lab
    for one in made:
        one.close()


def standing(manager, labels):
    """The silences of exactly these labels that are not over, as the Alertmanager has them."""
    wanted = {(name, value, True, False) for name, value in labels.items()}
    return [
        one
        for one in call(manager, "/api/v2/silences")
        if {(m["name"], m["value"], m["isEqual"], m["isRegex"]) for m in one["matchers"]} == wanted
        and one["status"]["state"] != "expired"
    ]


def shown(lab, labels):
    """The alert as the view has it."""
    return next(one for one in lab.read().alerts if one.host == labels["instance"].partition(":")[0])


def test_a_silence_has_all_labels_an_end_an_author_and_a_comment(lab, manager, alert):
    """It covers this alert and no other, and says by whom, why and until when."""
    made = lab.silence(shown(lab, alert).fingerprint, HOUR, **BY)
    (there,) = standing(manager, alert)
    assert (there["id"], there["createdBy"], there["comment"]) == (made.id, "ada@desk", "is being repaired")
    assert made.until == pytest.approx(time.time() + HOUR, abs=60)
    seen = read_until(
        lab,
        lambda view: [a for a in view.alerts if a.silences and a.labels[1][1] == alert["instance"]],
        "silenced",
    )
    (silence,) = next(a for a in seen.alerts if a.labels[1][1] == alert["instance"]).silences
    assert (silence.id, silence.author, silence.ours) == (made.id, "ada@desk", True)


def test_asked_twice_it_is_made_once(lab, manager, alert):
    """Posted twice it would be two: one that stands and lasts as long is found; a longer one is made."""
    fingerprint = shown(lab, alert).fingerprint
    first = lab.silence(fingerprint, HOUR, **BY)
    assert lab.silence(fingerprint, HOUR, **BY).id == first.id
    assert lab.silence(fingerprint, HOUR / 2, **BY).id == first.id
    assert len(standing(manager, alert)) == 1
    assert lab.silence(fingerprint, 2 * HOUR, **BY).id != first.id
    raw = {
        "matchers": [{"name": n, "value": v, "isRegex": False, "isEqual": True} for n, v in alert.items()],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "bob",
        "comment": "the trap itself",
    }
    ids = {call(manager, "/api/v2/silences", raw)["silenceID"] for _ in range(2)}
    assert len(ids) == 2


def test_only_what_was_made_here_is_ended(lab, rig_of_one, manager, alert, tmp_path):
    """Another's stays; ours ends, also after a restart; a desk that did not make it may not end it."""
    raw = {
        "matchers": [{"name": n, "value": v, "isRegex": False, "isEqual": True} for n, v in alert.items()],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "bob@elsewhere",
        "comment": "mine",
    }
    others = call(manager, "/api/v2/silences", raw)["silenceID"]
    with pytest.raises(LabError, match="was not made here"):
        lab.expire(others)
    # Bob's lasts as long, so that none is made, and it does not become ours.
    found = lab.silence(shown(lab, alert).fingerprint, HOUR, **BY)
    assert (found.id, found.author, found.ours) == (others, "bob@elsewhere", False)
    urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{manager.port}/api/v2/silence/{others}", method="DELETE"),
        timeout=30,
    ).close()
    made = lab.silence(shown(lab, alert).fingerprint, HOUR, **BY)
    with pytest.raises(LabError, match="was not made here"):
        rig_of_one(tmp_path / "other").expire(made.id)
    rig_of_one().expire(made.id)
    assert standing(manager, alert) == []
    with pytest.raises(LabError, match="was not made here"):
        lab.expire(made.id)


def test_the_file_of_ids_is_private_and_forgets_what_is_over(tmp_path):
    """Nobody else reads it; an unreadable one makes nothing ours."""
    now = [1000.0]
    made = SilencesMade(tmp_path / "new" / "made.json", lambda: now[0])
    made.add("a", 2000.0)
    made.add("b", 3000.0)
    assert made.ids() == {"a", "b"}
    assert stat.S_IMODE((tmp_path / "new" / "made.json").stat().st_mode) == 0o600
    now[0] = 2500.0
    assert made.ids() == {"b"}
    (tmp_path / "new" / "made.json").write_text("[1, 2")
    assert made.ids() == frozenset()


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1.0, 90 * 24 * HOUR])
def test_a_silence_without_an_end_or_too_long_is_not_sent(lab, manager, alert, seconds):
    """An end that is the start is refused by the server with 400: it is not even asked."""
    with pytest.raises(LabError, match="from 1 min to 30 d"):
        lab.silence(shown(lab, alert).fingerprint, seconds, **BY)
    assert standing(manager, alert) == []


def test_nobody_and_no_reason_are_not_sent(lab, alert):
    """Who silences for everyone says who and why."""
    fingerprint = shown(lab, alert).fingerprint
    for lacking in ({**BY, "author": " "}, {**BY, "comment": ""}):
        with pytest.raises(LabError, match="an author and a comment"):
            lab.silence(fingerprint, HOUR, **lacking)


def test_an_alert_with_its_name_alone_is_not_silenced(manager, tmp_path):
    """A silence by the name would be about all hosts."""
    call(manager, "/api/v2/alerts", [{"labels": {"alertname": "Alone"}}])
    server = LabServer(f"http://127.0.0.1:{manager.port}", LabSettings(), GivenSecret())
    managers = Alertmanagers([server], SilencesMade(tmp_path / "made.json"))
    end = time.monotonic() + 10
    entry = next(one for one in managers.read(end).entries if one.labels == {"alertname": "Alone"})
    with pytest.raises(LabError, match="would be about all hosts"):
        managers.silence(entry.fingerprint, HOUR, now=time.time(), end=end, **BY)
    managers.close()


def test_without_the_setting_nothing_is_written(rig_of_one, manager, alert):
    """Read-only unless LAB_SILENCE=on."""
    lab = rig_of_one(silence=False)
    with pytest.raises(LabError, match="are off") as caught:
        lab.silence(shown(lab, alert).fingerprint, HOUR, **BY)
    assert "LAB_SILENCE=on" in caught.value.mend
    assert standing(manager, alert) == []


def test_an_alert_that_is_over_is_not_silenced(lab):
    """What the Alertmanager no longer has cannot be matched."""
    with pytest.raises(LabError, match="does not have this alert any more"):
        lab.silence("0123456789abcdef", HOUR, **BY)


def test_what_the_server_would_not_take_is_refused_as_it_was_seen(manager):
    """The server's own refusals: 400 for an end that is the start, 415 for a form (so JSON is sent)."""
    raw = {
        "matchers": [{"name": "a", "value": "b", "isRegex": False, "isEqual": True}],
        "startsAt": "2099-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "ada",
        "comment": "x",
    }
    with pytest.raises(urllib.error.HTTPError) as caught:
        call(manager, "/api/v2/silences", raw)
    assert caught.value.code == 400
    caught.value.close()
    form = urllib.request.Request(f"http://127.0.0.1:{manager.port}/api/v2/silences", b"a=b")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(form, timeout=30)  # noqa: S310
    assert caught.value.code == 415
    caught.value.close()
