"""Which backend draws, what happens where none can, and the two things the tray owes to its session."""

from __future__ import annotations

import logging
import sys
import threading

import pytest

from gpuwatch_tray.tray.backends import pystray_linux, select, statusnotifier

LINUX = pytest.mark.skipif(sys.platform in select.PYSTRAY_NATIVE, reason="pystray draws by itself there")


class FakeBackend:
    """Draws nothing, and ends when told."""

    def __init__(self, kind="fake"):
        self.kind = kind
        self.stopped = threading.Event()
        self.said = []

    def run(self, ready):
        ready()
        self.stopped.wait(60)

    def stop(self):
        self.stopped.set()

    def post(self, job):
        self.said.append(("post", job))

    def present(self, view):
        self.said.append(("present", view))


class FakeLoop:
    """call_later, moved by hand."""

    def __init__(self):
        self.timers = []

    def call_later(self, delay, job):
        timer = FakeTimer(delay, job)
        self.timers.append(timer)
        return timer

    def pass_time(self):
        """Let every timer run out that nobody has cancelled."""
        due, self.timers = self.timers, []
        for timer in due:
            if not timer.cancelled:
                timer.job()


class FakeTimer:
    def __init__(self, delay, job):
        self.delay, self.job, self.cancelled = delay, job, False

    def cancel(self):
        self.cancelled = True


class FakeBus:
    """A bus whose watcher comes and goes by hand."""

    def __init__(self):
        self.loop = FakeLoop()
        self.turning = threading.Event()
        self.ended = threading.Event()
        self.handlers = {}
        self.lost = []

    def run(self):
        self.turning.set()
        self.ended.wait(60)

    def stop(self):
        self.ended.set()

    def follow_owner(self, name, handler):
        self.handlers[name] = handler

    def on_lost(self, handler):
        self.lost.append(handler)

    def owned_by(self, owner):
        self.handlers["org.kde.StatusNotifierWatcher"](owner)


@pytest.fixture
def usable(monkeypatch):
    """Fake the pystray backends; return those that work and those that were tried."""
    kinds, tried = set(), []

    def backend(kind, name, perform):
        tried.append(kind)
        if kind not in kinds:
            raise pystray_linux.BackendUnavailableError(f"no {kind} here")
        return FakeBackend(kind)

    monkeypatch.setattr(pystray_linux, "create_backend", backend)
    return kinds, tried


@pytest.fixture
def own(monkeypatch):
    """Our own backend, without a bus behind it."""
    from gpuwatch_tray.tray.backends import statusnotifier

    monkeypatch.setattr(statusnotifier, "StatusNotifierBackend", lambda *_: FakeBackend("sni"))


DISPLAY = {"DISPLAY": ":9"}

# What is asked for, whether there is a bus, what can be used -> what draws. By line: a bus is enough for our
# own; PYSTRAY_BACKEND goes first; what cannot be used falls through to ours; without a bus appindicator goes
# before gtk; xorg only if asked for; dummy draws nothing; and at the end there is nothing to draw on.
TABLE = [
    ("", True, {"appindicator", "gtk", "xorg"}, "sni"),
    ("gtk", True, {"appindicator", "gtk", "xorg"}, "gtk"),
    ("appindicator", True, {"gtk"}, "sni"),
    ("", False, {"appindicator", "gtk", "xorg"}, "appindicator"),
    ("", False, {"gtk", "xorg"}, "gtk"),
    ("", False, {"xorg"}, None),
    ("xorg", False, {"appindicator", "gtk", "xorg"}, "xorg"),
    ("gtk", False, {"appindicator", "xorg"}, "appindicator"),
    ("dummy", True, {"gtk"}, None),
    ("dummy", False, {"gtk"}, None),
    ("", False, set(), None),
]


@LINUX
@pytest.mark.parametrize(("asked", "with_bus", "can", "drawn"), TABLE)
def test_the_order_of_the_backends(usable, own, asked, with_bus, can, drawn):
    """One row each of the table above."""
    usable[0].update(can)
    environ = DISPLAY | ({"PYSTRAY_BACKEND": asked} if asked else {})
    chosen = select.select_backend(FakeBus() if with_bus else None, "n", print, environ)
    inner = getattr(chosen, "_backend", chosen)
    assert getattr(inner, "kind", None) == drawn


@LINUX
def test_each_backend_that_cannot_draw_is_one_line_in_the_log(usable, caplog):
    """Who wonders about the missing icon finds why, and what to install, once for each."""
    with caplog.at_level(logging.WARNING):
        assert select.select_backend(None, "n", print, DISPLAY) is None
    assert [record.getMessage() for record in caplog.records] == [
        "no icon by appindicator: no appindicator here",
        "no icon by gtk: no gtk here",
    ]


@LINUX
def test_without_a_display_nothing_is_tried(usable, caplog):
    """Over ssh no toolkit is loaded; only who asked for one is told."""
    assert select.select_backend(None, "n", print, {}) is None
    assert (usable[1], caplog.text) == ([], "")
    select.select_backend(None, "n", print, {"PYSTRAY_BACKEND": "gtk"})
    assert usable[1] == []
    assert "no icon by gtk: neither DISPLAY nor WAYLAND_DISPLAY is set" in caplog.text


@pytest.mark.parametrize("word", ["qt", "GTK", "xorg "])
def test_an_unknown_backend_is_wrong_use(word):
    """The error names the variable and what it may say."""
    with pytest.raises(ValueError, match=rf"PYSTRAY_BACKEND: expected .*dummy or unset, got '{word}'"):
        select.select_backend(None, "n", print, {"PYSTRAY_BACKEND": word})


@LINUX
def test_a_backend_without_its_libraries_says_what_to_install(monkeypatch):
    """No PyGObject is one line with the packages' names."""
    monkeypatch.setitem(sys.modules, "pystray._gtk", None)  # as if its import failed
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:")
    with pytest.raises(pystray_linux.BackendUnavailableError, match=r"python3-gi, gir1\.2-gtk-3\.0"):
        pystray_linux.create_backend("gtk", "n", print)


def test_the_buss_loop_turns_while_another_one_draws():
    """Popups go over the bus also where GTK, or nothing, has the main thread."""
    bus, inner = FakeBus(), FakeBackend()
    backend = select._with_bus(inner, bus)
    turned = []

    def ready():
        turned.append(bus.turning.wait(60))
        backend.post("job")
        backend.present("view")
        backend.stop()

    backend.run(ready)
    assert turned == [True]
    assert inner.said == [("post", "job"), ("present", "view")]
    assert bus.ended.is_set()


def test_headless_with_a_bus_still_turns_it_and_without_one_does_not():
    """The same life without an icon."""
    bus = FakeBus()
    for given in (bus, None):
        backend = select.headless_backend(given)
        backend.run(backend.stop)
    assert bus.turning.is_set()


# --- nobody shows icons -------------------------------------------------------------------------------


class Ears:
    """Notes what is told, and on which thread."""

    def __init__(self):
        self.told = []
        self.heard = threading.Event()

    def __call__(self, text):
        self.told.append((text, threading.current_thread() is threading.main_thread()))
        self.heard.set()


@pytest.fixture
def detected():
    bus, ears = FakeBus(), Ears()
    statusnotifier.MissingHostDetector(bus, ears, {"XDG_CURRENT_DESKTOP": "ubuntu:GNOME"}).start()
    return bus, ears


def test_a_minute_without_a_host_is_told_once_away_from_the_loop(detected):
    """After 60 s, by a thread that may use the bus; a host that comes and goes later is not told again."""
    bus, ears = detected
    bus.owned_by("")
    assert [timer.delay for timer in bus.loop.timers] == [60.0]
    assert not ears.told
    bus.loop.pass_time()
    assert ears.heard.wait(60)
    for owner in (":1.5", ""):
        bus.owned_by(owner)
    bus.loop.pass_time()
    assert [on_main for _, on_main in ears.told] == [False]


def test_a_host_that_comes_in_time_is_no_news(detected):
    """At login the panel may be late; and one that restarts gets its minute anew."""
    bus, ears = detected
    bus.owned_by("")
    bus.owned_by(":1.5")
    bus.loop.pass_time()
    bus.owned_by("")
    assert len(bus.loop.timers) == 1
    bus.owned_by(":1.9")
    bus.loop.pass_time()
    assert not ears.told


def test_a_bus_that_is_lost_is_not_a_missing_host(detected):
    """Without the bus there is no popup either."""
    bus, ears = detected
    bus.owned_by("")
    for handler in bus.lost:
        handler()
    bus.loop.pass_time()
    assert not ears.told


@pytest.mark.parametrize(
    ("desktop", "told"),
    [
        ("GNOME", "AppIndicator and KStatusNotifierItem Support"),
        ("ubuntu:GNOME", "gnome-shell-extension-appindicator"),
        ("GNOME-Classic:GNOME", "AppIndicator and KStatusNotifierItem Support"),
        ("sway", "module “tray”"),
        ("Hyprland", "module “tray”"),
        ("XFCE", "start a panel with a tray"),
        ("", "start a panel with a tray"),
    ],
)
def test_the_advice_fits_the_desktop(desktop, told):
    """What to install is named, and the way to ask without a tray."""
    text = statusnotifier.panel_advice({"XDG_CURRENT_DESKTOP": desktop} if desktop else {})
    assert told in text
    assert "`gpuwatch-tray status`" in text


# --- the name on the bus ------------------------------------------------------------------------------


@pytest.mark.parametrize("watched_", ["", "demo", "MYGPU=ssh box mygpu", "\udc80"])
def test_every_name_is_a_valid_one(watched_):
    """As the D-Bus specification has it: dotted, each part of letters, digits, _ and -, no digit first."""
    name = statusnotifier.bus_name_for(watched_)
    assert len(name) < 255
    for part in name.split("."):
        assert part.replace("-", "_").isidentifier()
    assert (name == statusnotifier.BUS_NAME) == (watched_ == "")
