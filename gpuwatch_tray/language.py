"""
The language in which people are spoken to: English as it stands in the code, or a catalogue of `locale/`.

`_` and `ngettext` translate where they are called, `N_` marks what is translated later, such as a table that
stands in a module. One language a process, settled at its start: a value with numbers in it is formatted
after the translation, `_("{name} is full").format(name=...)`. What programs read stays as it is: JSON, the
log, the Bash tool's list and the text of its mail.
"""

from __future__ import annotations

import gettext
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DOMAIN = "gpuwatch_tray"
ENGLISH, CHINESE = "en", "zh_CN"
LANGUAGES = (ENGLISH, CHINESE)
FOLDER = Path(__file__).resolve().parent / "locale"
# In the order in which POSIX asks them (gettext's manual, "Locale Environment Variables").
VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")

_chosen = ENGLISH


def use(name: str) -> None:
    """Speak `name`, one of `LANGUAGES`, from now on."""
    global _chosen  # noqa: PLW0603  # a process speaks one language
    _chosen = name


def used() -> str:
    """The language that is spoken."""
    return _chosen


def of_system(environ: Mapping[str, str]) -> str:
    """The language that the environment asks for, as far as there is a catalogue; else English."""
    for variable in VARIABLES:
        for asked in environ.get(variable, "").split(":"):
            plain = asked.partition(".")[0].partition("@")[0].replace("-", "_")
            if plain.lower() in {"zh", "zh_cn", "zh_sg", "zh_hans", "zh_hans_cn"}:
                return CHINESE
            if plain:
                return ENGLISH
    return ENGLISH


def _(text: str) -> str:
    """`text` in the language that is spoken."""
    return _catalogue(_chosen).gettext(text) if text else text  # an empty one would be the catalogue's header


def ngettext(one: str, many: str, count: int) -> str:
    """The form of a text that goes with `count`, in the language that is spoken."""
    return _catalogue(_chosen).ngettext(one, many, count)


def N_(text: str) -> str:  # noqa: N802  # gettext's name for it
    """`text` as it is: marked for the catalogue, and translated where it is shown."""
    return text


@lru_cache(maxsize=len(LANGUAGES))
def _catalogue(name: str) -> gettext.NullTranslations:
    if name == ENGLISH:
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, FOLDER, [name])
