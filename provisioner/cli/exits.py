"""The program's exit codes."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes; part of the interface."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INVALID = 3
    CONFIG = 4
    AWAY = 5
    UNMATCHED = 6
