"""The machine: directories, programs, users, identifiers, systemd; nothing of requests."""

__all__ = [
    "directories",
    "disks",
    "entry",
    "locks",
    "ownership",
    "posix_acl",
    "process",
    "sd_notify",
    "ulid",
    "users",
]
