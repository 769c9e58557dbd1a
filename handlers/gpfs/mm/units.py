"""Limits as GPFS keeps them.

Promises: KiB for the mm commands, and comparison that knows that GPFS rounds limits up. Pure.
Leaves out: quotas of users and groups.
"""

from __future__ import annotations

from provisioner.contract import format_size

INODE_STEP = 1024
"""Inode limits are rounded up to a multiple of this (read from samples; some sites keep less)."""

MAX_BLOCK_KIB = 999_999_999_999_999
"""The largest block limit mmsetquota takes, in KiB."""


def kib(size: int) -> int:
    """Give bytes in KiB, rounded up."""
    return -(-size // 1024)


def round_up(number: int, step: int) -> int:
    """Round a number up to a multiple of step (at least 1)."""
    step = max(step, 1)
    return -(-number // step) * step


def fits(found: int, wanted: int, step: int) -> bool:
    """Return True if a limit that was read is the wanted one, rounded up to step or not."""
    return wanted <= found <= round_up(wanted, step)


def size_text(in_kib: int) -> str:
    """Write a size in KiB for a person: `5 TiB`, `1.5 GiB`."""
    return format_size(in_kib * 1024)
