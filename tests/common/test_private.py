"""Files that only this user can read, replaced as a whole."""

from __future__ import annotations

import os
import stat

import pytest

from gpuwatch_tray.common.private import replace_private


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_a_file_that_was_open_to_others_is_private_from_then_on(tmp_path):
    """The new one takes its place with a mode of its own, and nothing else is left in the folder."""
    file = tmp_path / "token.json"
    file.write_text("old")
    file.chmod(0o644)
    replace_private(file, "new\r\n")
    assert file.read_bytes() == b"new\r\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    """A text that cannot be written, as on a full disk, leaves neither half a file nor a second one."""
    file = tmp_path / "token.json"
    file.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        replace_private(file, "half\udcff")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
