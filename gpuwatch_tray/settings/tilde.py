"""Which `~` of a value Bash replaces by a home folder: the first of the value, and each behind a bare `:`."""

from __future__ import annotations

import re

from gpuwatch_tray.language import N_, _
from gpuwatch_tray.settings.words import Literal, Piece, Reference

HOME = Reference("HOME", home=True)
OTHER_HOME = N_(
    "`~name` is the home folder of another account: write that folder (a literal ~ goes in quotes)"
)
_COLON_TILDE = re.compile(r"(?<=:)(?=~)")


def expand_tildes(value: tuple[Piece, ...]) -> tuple[tuple[Piece, ...], str]:
    """
    Return the value with `HOME` for each `~` that stands for the own home folder, and a fault or ''.

    A `~` means something only where everything up to the next `/` or `:` is bare.
    """
    result: list[Piece] = []
    fault = ""
    for i, piece in enumerate(value):
        if not isinstance(piece, Literal) or piece.quoted:
            result.append(piece)
            continue
        parts = _COLON_TILDE.split(piece.text)
        for j, part in enumerate(parts):
            closed = "/" in part or ":" in part or (j == len(parts) - 1 and i == len(value) - 1)
            if not part.startswith("~") or not closed or (i > 0 and j == 0):
                result.append(Literal(part, quoted=False))
            elif len(part) == 1 or part[1] in "/:":
                result += [HOME, Literal(part[1:], quoted=False)]
            else:
                fault = _(OTHER_HOME)
    return tuple(result), fault
