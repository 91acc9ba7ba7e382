"""Importing what stays to the end, quickly and without OpenSSL (5 MB of a tray); and late importing."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


# Python's own code of the hashes; where a system leaves it out, as Fedora does, hashlib needs OpenSSL.
_OWN_HASHES = ("_md5", "_sha1", "_sha3", "_blake2")
_OWN_SHA2 = ("_sha2",) if sys.version_info >= (3, 12) else ("_sha256", "_sha512")


@contextmanager
def lasting_imports() -> Iterator[None]:
    """
    Import in the block what is never given back.

    Python looks for garbage while objects become more, and when it ends: at what is loaded here it does not,
    which is a seventh of a short command. And the block does without OpenSSL, as on a Python that was built
    without it: asyncio has no TLS of its own, hashlib its own code; a later `import ssl` works as always. Nor
    are bz2 and lzma loaded, which shutil takes for archives. And msgspec takes from typing what it would load
    typing_extensions for, and with it `inspect`: 6 ms and 1.6 MB of a short command.
    """
    hidden = ["ssl", "typing_extensions", "bz2", "lzma"]
    if all(map(find_spec, _OWN_HASHES + _OWN_SHA2)):
        hidden.append("_hashlib")
    hidden = [name for name in hidden if name not in sys.modules]
    loaded: dict[str, Any] = sys.modules  # None stands for a module that there is not
    loaded.update(dict.fromkeys(hidden))
    gc.disable()
    try:
        yield
    finally:
        for name in hidden:
            del loaded[name]
        gc.freeze()
        gc.enable()


class LateModule:
    """
    Stands for the module `name` until something of it is first used, and passes on what is asked of it.

    The real import stands beside it under TYPE_CHECKING, for who checks types and layers.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(import_module(self._name), attribute)
