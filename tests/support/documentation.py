"""The pages that people read: the README and docs/, in English and Chinese."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHINESE = ".zh-CN.md"
ENGLISH_ONLY = {"docs/architecture.md"}  # for those who work on the program
DEVELOPERS = ("docs/architecture.md", ".github/CONTRIBUTING.md")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
KEY = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")


def read(name: str) -> str:
    """The text of the page `name`, a path in the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def pages() -> list[str]:
    """The paths of all pages in the repository."""
    found = [ROOT / "README.md", ROOT / f"README{CHINESE}", *sorted((ROOT / "docs").glob("*.md"))]
    return [
        *(path.relative_to(ROOT).as_posix() for path in found),
        ".github/CONTRIBUTING.md",
        "secret/README.md",
    ]


def twin(name: str) -> str:
    """The Chinese page for an English one of this name."""
    return name.removesuffix(".md") + CHINESE


def translated() -> list[str]:
    """The English pages for users, each of which has a Chinese twin."""
    users = [name for name in pages() if name.startswith(("README", "docs/")) and not name.endswith(CHINESE)]
    return [name for name in users if name not in ENGLISH_ONLY]


def keys() -> set[str]:
    """Every key that can be set: the examples have all of them."""
    examples = (ROOT / "config").glob("*.env.example")
    return {
        key
        for path in examples
        for key in re.findall(r"^#?([A-Z_]+)=", path.read_text("utf-8"), re.MULTILINE)
    }


def prose(text: str) -> str:
    """The text without its blocks of code."""
    return FENCE.sub("", text)


def links(text: str) -> list[str]:
    """What the page links to, in its order, the internet left out."""
    return [link for link in LINK.findall(text) if "://" not in link]


def anchors(text: str) -> set[str]:
    """The anchors of the page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
