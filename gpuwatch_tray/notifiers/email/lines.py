"""Foreign text made safe to show: no control characters, one line, no secret."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from gpuwatch_tray.redact import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_ANSWER = 300  # characters of a server's answer that are shown
SHORTEST_SECRET = 4  # characters: a shorter piece would blank out ordinary words


def escape_controls(text: str) -> str:
    """Return the text with control characters escaped; newlines stay, a tab becomes blanks."""
    lines = text.replace("\r\n", "\n").expandtabs(4).split("\n")
    return "\n".join(visible(line) for line in lines)


def one_line(text: str, longest: int | None = None) -> str:
    """Return the text on one line of at most `longest` characters."""
    line = visible(" ".join(text.split()))
    return line if longest is None or len(line) <= longest else line[: longest - 3] + "..."


def _encodings(secret: str) -> set[str]:
    """Return the forms of a secret: as it is, URL-encoded, and inside any base64 text."""
    raw = secret.encode("utf-8", "surrogateescape")
    forms = {secret, quote(raw, safe=""), quote(raw), quote_plus(raw)}
    for before in range(3):
        # The characters that depend on the secret alone, for each position in a triplet of bytes.
        encoded = base64.b64encode(b"\0" * before + raw).decode("ascii").rstrip("=")
        start = (0, 2, 3)[before]
        end = (before + len(raw)) * 8 // 6
        for alphabet in (encoded, encoded.replace("+", "-").replace("/", "_")):
            forms.add(alphabet[start:end])
    return {form for form in forms if len(form) >= SHORTEST_SECRET}


class Scrubber:
    """Removes secrets from foreign text, in their literal, base64 and URL-encoded forms."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in _encodings(secret)}
        # The longest first, or a part would be cut out of a whole secret.
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str | bytes, longest: int | None = LONGEST_ANSWER) -> str:
        """Return the text on one line, without the secrets."""
        line = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        if self._pattern is not None:
            line = self._pattern.sub("***", line)
        return one_line(line, longest)
