"""The command line as a whole: what stands before every command."""

from __future__ import annotations

import re
import sys
import threading

import pytest

from gpuwatch_tray import __main__, cli, i18n, settings
from gpuwatch_tray.cli.parser import build_parser


@pytest.fixture
def stuck(monkeypatch):
    """The settings lie on a network drive that does not answer."""
    answer, load = threading.Event(), settings.load

    def late(environ):
        answer.wait(30)
        return load(environ)

    monkeypatch.setattr(settings, "load", late)
    monkeypatch.setattr(cli, "READ_WITHIN", 0.05)
    yield
    answer.set()
    for thread in threading.enumerate():
        if thread.name == "settings":
            thread.join(60)


@pytest.mark.parametrize("words", [["doctor"], ["--verbose", "doctor", "--json"]])
@pytest.mark.usefixtures("stuck")
def test_the_doctor_does_not_hang_with_the_settings(words, capsys):
    """Where the settings cannot even be read, that is what it says."""
    assert cli.main(words) == cli.FAILED
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(
        "gpuwatch-tray: the settings files cannot be read within 0.05 s: are they on a"
    )


@pytest.mark.parametrize("words", [["ps"], ["status"], ["--help"]])
def test_ctrl_c_while_it_starts_ends_it_without_a_traceback(words, monkeypatch, capsys):
    """Before the command begins, as while the settings are read."""

    def interrupted(_environ):
        raise KeyboardInterrupt

    monkeypatch.setattr(settings, "load", interrupted)
    monkeypatch.setattr(sys, "argv", ["gpuwatch-tray", *words])
    assert __main__.main() == cli.FAILED
    assert capsys.readouterr() == ("", "")


def test_ctrl_c_while_it_loads_ends_it_without_a_traceback(monkeypatch, capsys):
    """The modules take most of the time of a short command."""

    class Interrupted:
        def find_spec(self, name, _path=None, _target=None):
            if name == "gpuwatch_tray.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "gpuwatch_tray.cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    assert __main__.main() == cli.FAILED
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def chinese():
    """In Simplified Chinese."""
    i18n.set_language(i18n.CHINESE)
    yield
    i18n.set_language(i18n.ENGLISH)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["setup", "autostart", "--help"],
        ["setup"],
        ["setup", "autostart", "maybe"],
        ["--bogus"],
        ["setup", "config", "--check", "--path"],
        ["doctor", "--report"],
        ["--demo=1"],
    ],
)
@pytest.mark.usefixtures("chinese")
def test_argparse_speaks_the_language_as_well(words, capsys):
    """Help and the lines about wrong use, argparse's own words included."""
    with pytest.raises(SystemExit):
        build_parser().parse_args(words)
    said = "".join(capsys.readouterr())
    english = (
        r"usage|error|options|positional|argument|show |invalid|choice|required|unrecognized|ignored|exit"
    )
    assert said
    assert re.findall(english, said) == []
