"""Python without OpenSSL, whose 5 MB a process that runs for months need not hold."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


# Python's own code of the hashes; where a system leaves it out, as Fedora does, hashlib needs OpenSSL.
_OWN_HASHES = ("_md5", "_sha1", "_sha3", "_blake2")
_OWN_SHA2 = ("_sha2",) if sys.version_info >= (3, 12) else ("_sha256", "_sha512")


@contextmanager
def left_out() -> Iterator[None]:
    """
    Have what the block imports do without OpenSSL, as it does on a Python that was built without it.

    asyncio then has no TLS of its own, and hashlib its own code; a later `import ssl` works as always. What
    has been imported before stays as it is.
    """
    hidden = ["ssl", "_hashlib"] if all(map(find_spec, _OWN_HASHES + _OWN_SHA2)) else ["ssl"]
    hidden = [name for name in hidden if name not in sys.modules]
    loaded: dict[str, Any] = sys.modules  # None stands for a module that there is not
    loaded.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del loaded[name]
