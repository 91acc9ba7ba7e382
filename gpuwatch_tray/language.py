"""
The language in which people are spoken to: English as it stands in the code, or a catalogue of `locale/`.

`_` and `ngettext` translate where they are called, `N_` marks what is translated later, such as a table that
stands in a module. One language a process, settled at its start: a value with numbers in it is formatted
after the translation, `_("{name} is full").format(name=...)`. What programs read stays as it is: JSON, the
log, the Bash tool's list and the text of its mail.
"""

from __future__ import annotations

import gettext
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


if sys.platform == "win32":
    import ctypes
    import locale

    def of_desktop() -> str:
        """The language that the person has chosen in Windows' settings."""
        return locale.windows_locale.get(ctypes.windll.kernel32.GetUserDefaultUILanguage(), "")

elif sys.platform == "darwin":
    import subprocess

    def of_desktop() -> str:
        """The language that the person has chosen in macOS' settings."""
        command = ["defaults", "read", "-g", "AppleLanguages"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=2.0, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return first_of(done.stdout)

else:

    def of_desktop() -> str:
        """Nothing: here the variables say it."""
        return ""


def first_of(languages: str) -> str:
    """The first of a list as macOS's `defaults` prints it."""
    found = re.search(r"[A-Za-z][\w-]+", languages)
    return found[0] if found else ""


def of_system(environ: Mapping[str, str], of_desktop: Callable[[], str] = of_desktop) -> str:
    """The language that the environment asks for, else the desktop, as far as there is a catalogue."""
    for variable in VARIABLES:
        for asked in environ.get(variable, "").split(":"):
            if asked:
                return _known(asked)
    return _known(of_desktop())


def _known(asked: str) -> str:
    plain = asked.partition(".")[0].partition("@")[0].replace("-", "_").lower()
    chinese = plain in {"zh", "zh_cn", "zh_sg"} or plain.startswith("zh_hans")
    return CHINESE if chinese else ENGLISH


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
