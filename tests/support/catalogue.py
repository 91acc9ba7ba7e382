"""
The texts in the code and the catalogues of `locale/`, kept together: `make messages` runs this file.

A catalogue is written the same for the same texts, without a date or a version in it, so that a change of it
is a change of its texts. Its comment at the top, with the glossary, stays as the translator wrote it.
"""

from __future__ import annotations

import ast
import io
from typing import TYPE_CHECKING

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from gpuwatch_tray.i18n import DOMAIN, ENGLISH, FOLDER, LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


PACKAGE = FOLDER.parent
TEXTS = {"_": 1, "N_": 1, "ngettext": 2}  # how many of the first arguments are texts
TRANSLATED = tuple(name for name in LANGUAGES if name != ENGLISH)


class Clean(Catalog):
    """A catalogue whose header says no more than what gettext needs."""

    @property
    def mime_headers(self):
        """The header's lines."""
        return [
            ("Language", str(self.locale_identifier)),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Plural-Forms", self.plural_forms),
        ]

    @mime_headers.setter
    def mime_headers(self, lines):
        """What a file has in their place is not taken over."""


def texts() -> dict[str | tuple[str, str], list[str]]:
    """
    Every text that is marked in the code, or pair of singular and plural, and the files that have it.

    Read from the syntax tree: by its tokens a text within an f-string is found from Python 3.12 on only.
    """
    found: dict[str | tuple[str, str], list[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        for text in marked(file.read_text(encoding="utf-8")):
            found.setdefault(text, []).append(file.relative_to(PACKAGE).as_posix())
    return found


def marked(code: str) -> Iterator[str | tuple[str, str]]:
    """Each text that this code marks, or pair of singular and plural."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args) if name in TEXTS:
                texts = [each.value for each in args[: TEXTS[name]] if isinstance(each, ast.Constant)]
                match texts:
                    case [str(text)] if TEXTS[name] == 1:
                        yield text
                    case [str(one), str(many)]:
                        yield one, many


def po(language: str) -> Path:
    """The file that the translator writes."""
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(language: str) -> Catalog:
    """What is translated."""
    with po(language).open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def updated(catalogue: Catalog) -> Clean:
    """The catalogue of the texts that the code has now: what is new without a translation, no other."""
    clean = Clean(
        locale=str(catalogue.locale_identifier), header_comment=catalogue.header_comment, fuzzy=False
    )
    for text in sorted(texts(), key=lambda text: text if isinstance(text, str) else text[0]):
        former = catalogue.get(text if isinstance(text, str) else text[0])
        same = former is not None and former.id == text
        message = Message(
            text, former.string if same else "", user_comments=former.user_comments if same else ()
        )
        message.flags.clear()
        clean[text] = message
    return clean


def as_po(catalogue: Clean) -> bytes:
    """The translator's file."""
    out = io.BytesIO()
    write_po(out, catalogue, width=0, no_location=True)
    return out.getvalue()


def as_mo(catalogue: Clean) -> bytes:
    """The file that gettext reads; a text that is not translated is left out, and stays English."""
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def write(language: str) -> int:
    """Bring both files of a language up to date; the number of texts that are yet to be translated."""
    catalogue = updated(read(language))
    po(language).write_bytes(as_po(catalogue))
    po(language).with_suffix(".mo").write_bytes(as_mo(catalogue))
    return sum(not any(_forms(message)) for message in catalogue if message.id)


def _forms(message: Message) -> tuple[str, ...]:
    return message.string if isinstance(message.string, tuple | list) else (message.string,)


def main() -> None:
    """Bring all up to date."""
    for language in TRANSLATED:
        missing = write(language)
        print(f"{po(language).relative_to(PACKAGE.parent)}: {missing or 'no'} texts to be translated")


if __name__ == "__main__":
    main()
