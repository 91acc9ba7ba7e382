"""
Translation: texts are English in the code, or come from a catalogue of `locale/`.

`N_` marks a text that is translated later. Values are put in after the translation. What programs read is
never translated: JSON, the log, the Bash tool's list and the text of its mail.
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


def set_language(name: str) -> None:
    """Translate to `name`, one of `LANGUAGES`, from now on."""
    global _chosen  # noqa: PLW0603  # a process has one language
    _chosen = name


def current_language() -> str:
    """Return the language that texts are translated to."""
    return _chosen


if sys.platform == "win32":
    import ctypes
    import locale

    def desktop_language() -> str:
        """Return the language that is set in Windows' settings."""
        return locale.windows_locale.get(ctypes.windll.kernel32.GetUserDefaultUILanguage(), "")

elif sys.platform == "darwin":
    import subprocess

    def desktop_language() -> str:
        """Return the language that is set in macOS' settings."""
        command = ["defaults", "read", "-g", "AppleLanguages"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=2.0, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return first_language(done.stdout)

else:

    def desktop_language() -> str:
        """Return an empty text: on this system only the environment tells it."""
        return ""


def first_language(languages: str) -> str:
    """Return the first language of a list as macOS's `defaults` prints it."""
    found = re.search(r"[A-Za-z][\w-]+", languages)
    return found[0] if found else ""


def system_language(
    environ: Mapping[str, str], desktop_language: Callable[[], str] = desktop_language
) -> str:
    """Return the language that the environment asks for, else the desktop, if there is a catalogue for it."""
    for variable in VARIABLES:
        for asked in environ.get(variable, "").split(":"):
            if asked:
                return _supported(asked)
    return _supported(desktop_language())


def _supported(asked: str) -> str:
    plain = asked.partition(".")[0].partition("@")[0].replace("-", "_").lower()
    chinese = plain in {"zh", "zh_cn", "zh_sg"} or plain.startswith("zh_hans")
    return CHINESE if chinese else ENGLISH


def _(text: str) -> str:
    """Translate `text`."""
    return _catalogue(_chosen).gettext(text) if text else text  # an empty one would be the catalogue's header


def ngettext(one: str, many: str, count: int) -> str:
    """Translate the form of a text that goes with `count`."""
    return _catalogue(_chosen).ngettext(one, many, count)


def N_(text: str) -> str:  # noqa: N802  # gettext's name for it
    """Return `text` as it is: it is only marked for the catalogue, and translated where it is shown."""
    return text


@lru_cache(maxsize=len(LANGUAGES))
def _catalogue(name: str) -> gettext.NullTranslations:
    if name == ENGLISH:
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, FOLDER, [name])


# Marked for the catalogue; a key that is not here is shown as it is.
WORDS = (
    *(N_("ok"), N_("snoozed"), N_("warning"), N_("critical"), N_("no data"), N_("info")),
    *(N_("pending"), N_("firing"), N_("recovering"), N_("resolved"), N_("acknowledged")),
    *(N_("present"), N_("away"), N_("unknown")),
    *(N_("tray"), N_("watch"), N_("alert"), N_("rule")),
    # the topics of `doctor`
    *(N_("program"), N_("settings"), N_("driver"), N_("source"), N_("Xid errors"), N_("popups")),
    *(
        N_("presence"),
        N_("autostart"),
        N_("mail"),
        N_("outbox"),
        N_("chat"),
        N_("lab"),
        N_("state"),
        N_("log"),
        N_("secrets"),
    ),
    N_("watching"),
    # the transitions of an alert
    *(N_("fired"), N_("severity rose"), N_("severity fell"), N_("firing again")),
)


def translate_key(key: object) -> str:
    """Translate a key such as `no_data`."""
    return _(str(key).replace("_", " "))
