"""The mail's picture, from readings of a driver to the part in the mail; and the child that sends it."""

from __future__ import annotations

import io
import signal
import time
from contextlib import closing
from operator import sub
from statistics import median

import pytest
from msgspec.structs import replace
from PIL import Image  # to look at what was drawn

from gpuwatch_tray.app import deliver
from gpuwatch_tray.common import host
from gpuwatch_tray.drawing import COLOURS
from gpuwatch_tray.history.sample_store import SampleStore
from gpuwatch_tray.model import History, Instant, Level
from gpuwatch_tray.store import Commit, Mail, Store
from tests.driver.scenario import FakeGpu, Scenario
from tests.report.histories import HOUR, history, uuid
from tests.support import mail_parts
from tests.support.machine_history import Past, gpu
from tests.support.timing import wait_until

pytestmark = pytest.mark.configured(POLL_SEC=0.3)


def test_the_gpu_that_the_alert_is_about_is_drawn():
    """Named by the subject, or by the process that the subject names; the first of several that is known."""
    past = history(gpus=2, seconds=6 * HOUR)
    one, two = (deliver.draw_picture(past, (uuid(n),)) for n in (0, 1))
    assert one != two
    assert one.startswith(b"\x89PNG")
    assert deliver.draw_picture(past, (f"{uuid(1)}/79",)) == two
    run = replace(past.runs[0], key=f"boot/7/start/{uuid(1)}", uuid=uuid(1))
    assert deliver.draw_picture(replace(past, runs=(run,)), ("boot/7/start",)) == two
    assert deliver.draw_picture(past, ("GPU-gone", uuid(1))) == two
    assert len(deliver.draw_picture(past, (uuid(0),), 50)) > len(one)  # the line of the limit


def test_the_moment_at_which_a_run_failed_is_marked():
    """A line in the colour of what is critical, at its place on the time axis, through all three values."""
    past = replace(history(gpus=1, seconds=HOUR), marks=())
    wanted = COLOURS[Level.CRITICAL]
    for share in (0.25, 0.75):
        data = deliver.draw_picture(past, (uuid(0),), None, past.start + share * HOUR)
        drawn = Image.open(io.BytesIO(data)).convert("RGB")
        places = [
            x
            for x in range(drawn.width)
            for y in range(drawn.height)
            if max(map(abs, map(sub, drawn.getpixel((x, y)), wanted))) < 40
        ]
        assert len(places) > drawn.height / 3
        assert abs(median(places) - (62 + share * (697 - 62))) < 10  # between the ends of the axis


def test_nothing_is_drawn_where_nothing_is_known():
    """An alert of the machine, a GPU without samples, an empty past."""
    past = history(gpus=1, seconds=HOUR)
    assert deliver.draw_picture(past, ("GPU-gone",)) == b""
    assert deliver.draw_picture(past, ()) == b""
    assert deliver.draw_picture(History(0.0, 1.0), (uuid(0),)) == b""


def watched_before(installed, uuid, seconds=1200):
    """As if a tray had watched this GPU for the last minutes."""
    past = Past(installed.state)
    past.store = SampleStore(installed.state, host.host())
    past.clock.now = time.time() - seconds - 60
    past.poll_for(seconds=seconds, gpus=(replace(gpu(1), uuid=uuid),))
    past.stop()


@pytest.mark.driver
def test_a_lost_gpu_is_mailed_with_its_last_readings(installed, server):
    """The whole way: on file, lost, queued, drawn by the child, sent, and read by a mail program."""
    gpus = [FakeGpu.numbered(0), FakeGpu.numbered(1)]
    watched_before(installed, gpus[1].uuid)
    installed.play(Scenario(gpus=gpus))
    with installed.watching():
        # Lost before it was ever read, it would have no name to find its past by.
        wait_until(lambda: gpus[1].uuid in installed.run("status", "--json").stdout, "the first reading")
        installed.play(Scenario(gpus=[gpus[0], replace(gpus[1], lost=True)]))
        mail = server.wait_for(1)[0].message
    assert mail["X-GPUWatch-Rule"] == "gpu_lost"
    _text, related = mail.iter_parts()
    _html, png = related.iter_parts()
    assert png.get_content_type() == "image/png"
    assert len(png.get_content()) <= deliver.MAX_PICTURE_BYTES
    with Image.open(io.BytesIO(png.get_content())) as drawn:
        assert drawn.size == (720, 640)


@pytest.mark.driver
def test_the_child_outlives_the_program_that_started_it(installed, server):
    """What was queued last leaves although the watcher is told to end."""
    with installed.watching() as running:
        now = host.now()
        made = replace(mail_parts.firing(), created=now.wall)
        with closing(Store(installed.state, host.host())) as store:
            store.commit(Commit(Instant(now.wall), mails=(Mail(made, ()),)))
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0
    assert server.wait_for(1)[0].message["Message-ID"] == mail_parts.ID
