"""Which language is spoken, and who decides."""

from __future__ import annotations

import pytest

from gpuwatch_tray import i18n
from tests.settings.checkout import NOTIFY, House


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_SG@pinyin"}, "zh_CN"),
        ({"LANG": "zh_TW.UTF-8"}, "en"),  # traditional: not ours
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "zh_CN"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_the_system_says_which_language(environ, expected):
    """The variables of gettext are asked in gettext's order; without a catalogue it is English."""
    assert i18n.system_language(environ) == expected


@pytest.mark.parametrize(
    ("told", "expected"), [("zh-Hans-CN", "zh_CN"), ("zh_CN", "zh_CN"), ("zh-Hant-TW", "en"), ("", "en")]
)
def test_where_no_variable_says_it_the_desktop_does(told, expected):
    """Windows and macOS start programs without these variables; a variable that is set goes first."""
    assert i18n.system_language({}, lambda: told) == expected
    assert i18n.system_language({"LANG": "en_GB.UTF-8"}, lambda: told) == "en"


def test_macos_names_the_languages_in_their_order():
    """The first of what `defaults read -g AppleLanguages` prints counts."""
    assert i18n.first_language('(\n    "zh-Hans-CN",\n    "en-GB"\n)\n') == "zh-Hans-CN"
    assert i18n.first_language("(\n    en\n)\n") == "en"
    assert i18n.first_language("") == ""


def test_a_setting_goes_before_the_system(tmp_path):
    """UI_LANGUAGE names a language whatever the system speaks; auto, the default, is the system's."""
    house = House(tmp_path)
    assert house.settings(LANG="zh_CN.UTF-8").language == "zh_CN"
    house.write(NOTIFY, "UI_LANGUAGE=en\n")
    assert house.settings(LANG="zh_CN.UTF-8").language == "en"
    house.write(NOTIFY, "UI_LANGUAGE=zh-cn\n")
    assert house.settings(LANG="C").language == "zh_CN"


def test_a_language_without_a_catalogue_is_a_problem(tmp_path):
    """Any other name is refused with those that there are."""
    house = House(tmp_path)
    house.write(NOTIFY, "UI_LANGUAGE=fr\n")
    assert house.load()[1][0].endswith("expected 'auto', 'en', 'zh_CN', got 'fr'")
