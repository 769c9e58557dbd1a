"""Limits as GPFS keeps them.

Promises: KiB for the mm commands, and comparisons that allow for GPFS rounding limits up. Pure.
Leaves out: quotas of users and groups.
"""

from __future__ import annotations

from provisioner.contract import format_size

INODE_STEP = 1024
"""GPFS rounds inode limits up to a multiple of this (from samples; some sites have less)."""

MAX_BLOCK_KIB = 999_999_999_999_999
"""The largest block limit mmsetquota takes, in KiB."""


def kib(size: int) -> int:
    """Return bytes in KiB, rounded up."""
    return -(-size // 1024)


def round_up(number: int, step: int) -> int:
    """Round a number up to a multiple of step (at least 1)."""
    step = max(step, 1)
    return -(-number // step) * step


def fits(found: int, wanted: int, step: int) -> bool:
    """Return True if a limit that was read is the wanted one, rounded up to step or not."""
    return wanted <= found <= round_up(wanted, step)


def size_text(in_kib: int) -> str:
    """Return a size in KiB as text for people: `5 TiB`, `1.5 GiB`."""
    return format_size(in_kib * 1024)
