"""Patterns that are compiled at their first use."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import gpuwatch_tray
from gpuwatch_tray.common.late_pattern import late_pattern

PACKAGE = Path(gpuwatch_tray.__file__).parent
USING = sorted(
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for file in PACKAGE.rglob("*.py")
    if re.search(r"^\w+ = late_pattern\(", file.read_text("utf-8"), re.MULTILINE)
)


def test_it_does_what_the_compiled_pattern_does(monkeypatch):
    """Once its first use has compiled it, and only then."""
    compiled = []
    compile_ = re.compile
    monkeypatch.setattr(re, "compile", lambda *source: compiled.append(source) or compile_(*source))
    pattern = late_pattern(r"(?P<word>[a-z]+)\d", re.IGNORECASE)
    assert compiled == []
    assert pattern.fullmatch("AB1")["word"] == "AB"
    assert (pattern.sub("-", "a1 b"), pattern.search("1"), pattern.groups) == ("- b", None, 1)
    assert set(compiled) == {(r"(?P<word>[a-z]+)\d", re.IGNORECASE)}


@pytest.mark.parametrize("module", USING)
def test_each_pattern_of_the_program_is_one(module):
    """A mistake in one is found here, not at its first use."""
    found = {
        name: value
        for name, value in vars(importlib.import_module(module)).items()
        if type(value) is type(late_pattern(""))
    }
    assert found
    for value in found.values():
        assert re.compile(value.pattern, value.flags & ~re.UNICODE)
