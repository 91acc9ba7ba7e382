"""Values put into a settings file: what is read afterwards, and what stays."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuwatch_tray.settings.editor import EditError, change_file, with_values
from gpuwatch_tray.settings.shell import Namespace, parse_script
from gpuwatch_tray.settings.template import new_file


def read(text, key):
    values, _errors, _broken = Namespace({}, "/home/ada").source(parse_script(text))
    return next(value.text for value in reversed(values) if value.name == key)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "SMTP_HOST=mail.lab\n"),
        ("# mine\nSMTP_USER=ada", "# mine\nSMTP_USER=ada\nSMTP_HOST=mail.lab\n"),
        ("SMTP_HOST=old # the old one\nX=1\n", "SMTP_HOST=mail.lab # the old one\nX=1\n"),
        ('export SMTP_HOST="a\nb"\nX=1\n', "export SMTP_HOST=mail.lab\nX=1\n"),
        ("#SMTP_HOST=example\n\n# next\n", "#SMTP_HOST=example\nSMTP_HOST=mail.lab\n\n# next\n"),
        ("SMTP_HOST=a\nSMTP_HOST=b\n", "SMTP_HOST=a\nSMTP_HOST=mail.lab\n"),
        ("X='\n#SMTP_HOST=1\n'\n", "X='\n#SMTP_HOST=1\n'\nSMTP_HOST=mail.lab\n"),
    ],
    ids=[
        "empty",
        "appended",
        "in place",
        "over lines",
        "below its comment",
        "the last of two",
        "not in quotes",
    ],
)
def test_only_the_line_of_the_key_changes(before, after):
    """Comments, other keys, their order and their quotes stay."""
    assert with_values(before, {"SMTP_HOST": "mail.lab"}) == after


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_value_is_read_as_it_was_given(value):
    r"""Quotes, dollars, backslashes, blanks and signs mean themselves."""
    for before in ("", "SMTP_USER=old\n", new_file("smtp.env")):
        assert read(with_values(before, {"SMTP_USER": value}), "SMTP_USER") == value


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SMTP_PASS='secret'\nX=1\n", "#SMTP_PASS=\nX=1\n"),
        ("SMTP_PASS=a\n  SMTP_PASS=b # new\n", "#SMTP_PASS=\n  #SMTP_PASS= # new\n"),
        ("export SMTP_PASS=secret X=1\n", "export SMTP_PASS= X=1\n"),
        ("SMTP_PASS=secret; X=1\n", "SMTP_PASS=; X=1\n"),
        ("X=1\n", "X=1\n"),
    ],
)
def test_a_value_is_taken_out_by_an_empty_one(before, after):
    """A password that moves into the keyring does not stay in the file; its line's other keys do."""
    assert with_values(before, {"SMTP_PASS": ""}) == after


def test_a_file_that_cannot_be_read_is_not_changed(tmp_path):
    """The error names file and line; a value put below an open quote would count for nothing."""
    file = tmp_path / "smtp.env"
    file.write_text("SMTP_HOST=a\nSMTP_USER='open\n")
    with pytest.raises(EditError, match=r"smtp\.env: line 2: "):
        change_file(file, {"SMTP_HOST": "b"})
    assert file.read_text() == "SMTP_HOST=a\nSMTP_USER='open\n"


def test_a_link_stays_one_and_the_file_is_for_its_owner(tmp_path):
    """Settings are often links into a folder of dotfiles."""
    (tmp_path / "dotfiles").mkdir()
    real, link = tmp_path / "dotfiles" / "smtp.env", tmp_path / "smtp.env"
    real.write_text("SMTP_HOST=a\n")
    real.chmod(0o644)
    link.symlink_to(real)
    change_file(link, {"SMTP_HOST": "b"})
    assert link.is_symlink()
    assert real.read_text() == "SMTP_HOST=b\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert [path.name for path in real.parent.iterdir()] == ["smtp.env"]


def test_a_fresh_file_with_values_is_a_correct_one(tmp_path, installed_house):
    """What `setup config` writes takes the answers of `setup mail` without a mistake."""
    file = tmp_path / "smtp.env"
    file.write_text(new_file("smtp.env"))
    file.chmod(0o600)
    change_file(file, {"SMTP_HOST": "mail.lab", "SMTP_USER": "ada@lab.example", "SMTP_PASS": "x y'z$"})
    settings = installed_house.settings(GPUWATCH_SMTP_CONFIG=str(file))
    assert (settings.smtp.host, settings.smtp.password.reveal()) == ("mail.lab", "xy'z$")
