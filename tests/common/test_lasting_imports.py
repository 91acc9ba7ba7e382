"""Importing what stays: without OpenSSL and typing_extensions, and without a trace afterwards."""

from __future__ import annotations

import subprocess
import sys

BEGIN = """
import gc, sys
from gpuwatch_tray.common.loading import lasting_imports
with lasting_imports():
    import asyncio, hashlib, hmac
    collecting = gc.isenabled()
"""


def told(script):
    return subprocess.check_output([sys.executable, "-c", BEGIN + script], text=True, timeout=60).split()


def test_what_is_imported_does_without_openssl():
    """Digests and loops work, as on a Python that has none, and garbage is looked for afterwards only."""
    script = """
async def main():
    return await asyncio.to_thread(hmac.digest, b"key", b"text", "sha256")
print(hashlib.sha256(b"a").hexdigest()[:8], asyncio.run(main()).hex()[:8])
print("_ssl" in sys.modules, "_hashlib" in sys.modules, collecting, gc.isenabled())
"""
    assert told(script) == ["ca978112", "6afa9046", "False", "False", "False", "True"]


def test_who_needs_tls_later_has_it():
    """A connection to a mail server or a lab's Prometheus is made in the same process."""
    script = """
import http.client, ssl
print(ssl.create_default_context().check_hostname, hasattr(http.client, "HTTPSConnection"))
"""
    assert told(script) == ["True", "True"]


def test_msgspec_does_without_typing_extensions():
    """It tells its types as with it, and who wants the module later has it."""
    script = """
with lasting_imports():
    import msgspec
    from typing import Annotated, TypedDict, NotRequired
class Item(TypedDict):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    size: NotRequired[int]
print(msgspec.json.decode(b'{"name":"a"}', type=Item)["name"])
try:
    msgspec.json.decode(b'{"size":1}', type=Item)
except msgspec.ValidationError:
    print("refused")
print("typing_extensions" in sys.modules)
import typing_extensions
print(typing_extensions.NotRequired is NotRequired)
"""
    assert told(script) == ["a", "refused", "False", "True"]


def test_what_was_imported_before_stays():
    """A module that others hold is not taken away from them."""
    script = """
import ssl
with lasting_imports():
    import ssl as again
print(again is ssl is sys.modules["ssl"])
"""
    assert told(script) == ["True"]
