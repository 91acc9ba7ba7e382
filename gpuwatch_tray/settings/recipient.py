"""Why there is nobody to send mail to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuwatch_tray.language import _
from gpuwatch_tray.model import schema

if TYPE_CHECKING:
    from gpuwatch_tray.settings.reading import SettingsReader

_HOME_FILE = 0  # TO_EMAIL's, by its place in the order of the files
_LINE = f'{schema.TO_EMAIL.key}="name@host"'


def no_recipient(reader: SettingsReader) -> str:
    """One line with the place and the mend, once TO_EMAIL was taken from `reader` and gave nobody."""
    name = schema.TO_EMAIL.key
    for number, problem in reader.problems:
        if problem.key == name or (number == _HOME_FILE and number in reader.unread):
            return str(problem)
    last = reader.last(schema.TO_EMAIL)
    if last is not None:
        place = f"{reader.files[last.file].shown}:{last.line}: {name}"
        if schema.EXAMPLE_ADDRESS in last.text:
            return _("{place}: still the example's address: put your own").format(place=place)
        return _("{place}: is empty").format(place=place)
    file = reader.files[_HOME_FILE]
    if not file.found:
        return _("there is no {file}: write one with {line}").format(file=file.shown, line=_LINE)
    return _("{file}: {key}: is not set: add {line}").format(file=file.shown, key=name, line=_LINE)
