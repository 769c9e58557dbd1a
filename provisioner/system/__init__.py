"""The machine: directories, programs, users, identifiers, systemd; nothing of requests."""

__all__ = [
    "directories",
    "disks",
    "locks",
    "ownership",
    "posix_acl",
    "process",
    "rename",
    "sd_notify",
    "ulid",
    "users",
]
