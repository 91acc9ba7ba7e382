"""Commands that see mounts of their own."""

from __future__ import annotations


def with_own_mounts(script: str) -> list[str]:
    """
    The words that run a shell's `script` in a mount namespace: what it mounts nobody else sees.

    Also in a root made by debootstrap, which is no mount, so that `unshare` cannot set how it is shared.
    """
    private = "mount --make-rprivate / 2>/dev/null || mount --make-private /proc"
    return ["unshare", "-m", "--propagation", "unchanged", "sh", "-c", f"{private}; {script}"]
