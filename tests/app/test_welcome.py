"""What the greeting's buttons and "Open settings" do."""

from __future__ import annotations

import pytest

from gpuwatch_tray.app.actions import ActionDispatcher
from gpuwatch_tray.app.context import RunContext, SourceKind
from gpuwatch_tray.desktop import launcher
from gpuwatch_tray.model import Button
from gpuwatch_tray.settings import Settings, template
from gpuwatch_tray.tray import ActionKind
from tests.support.fakes import FakePopups

FILES = {
    "GPUWATCH_CONFIG": "gpu-watch.env",
    "GPUWATCH_NOTIFY_CONFIG": "b",
    "GPUWATCH_SMTP_CONFIG": "c",
    "GPUWATCH_LAB_CONFIG": "d",
}


class Monitor:
    def members(self, _key):
        return ()

    def send_mails_now(self):
        pass


class Clicked:
    """The actions on a desktop that opens files by noting them."""

    def __init__(self, folder, monkeypatch, *, terminal=False):
        self.opened, self.performed, self.popups = [], [], FakePopups()
        self.commands = []
        monkeypatch.setattr(launcher, "has_terminal", lambda: terminal)
        monkeypatch.setattr(launcher, "open_terminal", self.commands.append)
        monkeypatch.setattr(launcher, "available", lambda: True)
        monkeypatch.setattr(launcher, "open_file", self.opened.append)
        for variable, name in FILES.items():
            monkeypatch.setenv(variable, str(folder / name))
        self.file = folder / "gpu-watch.env"
        context = RunContext(Settings(self.file, folder), (), SourceKind.NVML, "box", "ada", trial=True)
        self.dispatcher = ActionDispatcher(context, None, None, lambda: None)
        self.dispatcher.bind(Monitor(), lambda _key: (), self.popups, lambda _: None, self.performed.append)


@pytest.fixture
def clicked(tmp_path, monkeypatch):
    return Clicked(tmp_path, monkeypatch)


def test_settings_are_written_before_they_are_opened(clicked):
    """Where there are none, all are written, and the first is opened; what is there is only opened."""
    act = clicked.dispatcher.actions()[ActionKind.OPEN_SETTINGS]
    act(str(clicked.file))
    assert clicked.opened == [str(clicked.file)]
    assert all(place.exists for place in template.files(dict_of(clicked)))
    clicked.file.write_text("GPU_LIMIT=7\n")
    act(str(clicked.file))
    assert (len(clicked.opened), clicked.file.read_text()) == (2, "GPU_LIMIT=7\n")


def dict_of(clicked):
    return {variable: str(clicked.file.with_name(name)) for variable, name in FILES.items()}


def test_settings_that_cannot_be_written_are_a_complaint(clicked, monkeypatch):
    """A folder that is a file: the popup says why, and nothing is opened."""
    (clicked.file.parent / "plain").write_text("")
    monkeypatch.setenv("GPUWATCH_NOTIFY_CONFIG", str(clicked.file.parent / "plain" / "notify.env"))
    clicked.dispatcher.actions()[ActionKind.OPEN_SETTINGS](str(clicked.file))
    assert clicked.opened == []
    assert "cannot be written" in clicked.popups.shown[0].body


def test_the_buttons_do_what_the_rows_do(clicked):
    """Each goes the way of its row, whose lane it keeps; what cannot be done here is not offered."""
    assert clicked.dispatcher.welcome_buttons == (Button.TEST, Button.SETTINGS)
    clicked.dispatcher.on_popup_button("welcome", Button.TEST)
    clicked.dispatcher.on_popup_button("welcome", Button.SETTINGS)
    assert [action.kind for action in clicked.performed] == [ActionKind.TEST_ALERT, ActionKind.OPEN_SETTINGS]
    assert clicked.performed[1].target == str(clicked.file)


def test_email_is_set_up_in_a_terminal(tmp_path, monkeypatch):
    """Offered while nobody is mailed: the greeting's button and the row open `setup mail`."""
    clicked = Clicked(tmp_path, monkeypatch, terminal=True)
    assert clicked.dispatcher.welcome_buttons == (Button.TEST, Button.SET_UP_MAIL)
    clicked.dispatcher.on_popup_button("welcome", Button.SET_UP_MAIL)
    assert [action.kind for action in clicked.performed] == [ActionKind.SET_UP_MAIL]
    clicked.dispatcher.actions()[ActionKind.SET_UP_MAIL]("")
    assert [command[-2:] for command in clicked.commands] == [["setup", "mail"]]
    mailed = Settings(clicked.file, tmp_path, to_email=("ada@example.org",))
    clicked.dispatcher.reconfigure(RunContext(mailed, (), SourceKind.NVML, "box", "ada", trial=True))
    assert clicked.dispatcher.welcome_buttons == (Button.TEST, Button.SETTINGS)


def test_what_the_settings_say_now_is_what_the_menu_goes_by(clicked, tmp_path):
    """After a reload a test alert has somebody to mail."""
    assert not clicked.dispatcher.mails
    new = Settings(clicked.file, tmp_path, to_email=("ada@example.org",))
    clicked.dispatcher.reconfigure(RunContext(new, (), SourceKind.NVML, "box", "ada", trial=True))
    assert clicked.dispatcher.mails
