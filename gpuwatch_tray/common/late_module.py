"""Modules that are loaded when something of them is first used: the tray needs few of the lab's."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class LateModule:
    """
    Stands for the module `name` until then, and passes on what is asked of it.

    The real import stands beside it under TYPE_CHECKING, for who checks types and layers.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
