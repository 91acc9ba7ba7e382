"""Why there is nobody to send mail to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.settings import keys
from gpuwatch_tray.settings.checks import EXAMPLE_ADDRESS

if TYPE_CHECKING:
    from gpuwatch_tray.settings.reading import Reading

_HOME_FILE = 0  # TO_EMAIL's, by its place in the order of the files
_LINE = f'{keys.TO_EMAIL.name}="name@host"'


def no_recipient(reading: Reading) -> str:
    """One line with the place and the mend, once TO_EMAIL was taken from `reading` and gave nobody."""
    name = keys.TO_EMAIL.name
    for number, problem in reading.problems:
        if problem.key == name or (number == _HOME_FILE and number in reading.unread):
            return str(problem)
    last = reading.last(keys.TO_EMAIL)
    if last is not None:
        place = f"{reading.files[last.file].shown}:{last.line}: {name}"
        if EXAMPLE_ADDRESS in last.text:
            return _("{place}: still the example's address: put your own").format(place=place)
        return _("{place}: is empty").format(place=place)
    file = reading.files[_HOME_FILE]
    if not file.found:
        return _("there is no {file}: write one with {line}").format(file=file.shown, line=_LINE)
    return _("{file}: {key}: is not set: add {line}").format(file=file.shown, key=name, line=_LINE)
