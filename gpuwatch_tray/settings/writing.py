"""The three files, written for a person who has none: every key with its meaning and its default."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpuwatch_tray.settings import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIVATE = 0o600  # one of them holds a password


class ExampleMissing(Exception):  # noqa: N818  # a fact about the installation
    """An example of config/ is not where it belongs; the text names it."""


@dataclass(frozen=True, slots=True)
class Place:
    """One of the three files: where it is, or would be written; `named` is the variable that says so."""

    path: Path
    exists: bool
    named: str = ""


def files(environ: Mapping[str, str], where: paths.Places | None = None) -> tuple[Place, ...]:
    """
    Where each of the three files is, or is to be written: what its variable names, else the user's folder.

    One that is found elsewhere, as in `config/` of a checkout, is there already.
    """
    where = where or paths.places()
    return tuple(_place(name, variable, environ, where) for name, variable in paths.FILES)


def write_missing(environ: Mapping[str, str], where: paths.Places | None = None) -> tuple[Path, ...]:
    """
    Write those of the three files that are not there, for their owner alone; which they are.

    Nothing that exists is touched. Raises OSError, and ExampleMissing.
    """
    where = where or paths.places()
    missing = [
        (name, place)
        for (name, _), place in zip(paths.FILES, files(environ, where), strict=True)
        if not place.exists
    ]
    for name, place in missing:
        if not place.path.is_absolute():
            raise OSError(f"{place.path}: this account has no home folder: name the file by a variable")
        place.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(place.path, text(name))
    return tuple(place.path for _, place in missing)


def text(name: str) -> str:
    """What a new file of this name says: its example, without the words about copying it."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "config", package.parent / "config"):  # a wheel's, a checkout's
        example = folder / f"{name}.example"
        if example.is_file():
            _about_copying, _, rest = example.read_text(encoding="utf-8").partition("\n#\n")
            return rest
    raise ExampleMissing(f"no {name}.example beside {package} or in it: install gpuwatch-tray again")


def _place(name: str, variable: str, environ: Mapping[str, str], where: paths.Places) -> Place:
    file = paths.find(name, variable, environ, where)
    if environ.get(variable):
        return Place(file.path, os.path.lexists(file.path), variable)
    return Place(file.path, exists=True) if file.found else Place(where.config / name, exists=False)


def _write(path: Path, content: str) -> None:
    """A new file, whole or not at all."""
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
