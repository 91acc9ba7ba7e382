"""What is offered to be pasted into a shell."""

from __future__ import annotations

import pytest

from gpuwatch_tray.common.ssh_command import ssh_command


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("gpu1.example.org", "ssh gpu1.example.org"),
        ("gpu1:9836", "ssh gpu1"),
        ("ada@gpu1", "ssh ada@gpu1"),
        ("ada@-e.sh", ""),
        ("-oProxyCommand=x", ""),
        ("a b", ""),
        ("a;reboot", ""),
        ("[::1]:9836", ""),
    ],
)
def test_only_a_plain_name_can_be_copied_for_ssh(name, command):
    """A foreign name is never an option, nor two words, for a shell."""
    assert ssh_command(name) == command
