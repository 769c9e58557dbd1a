"""Submitting durably: a whole file into staging, or none.

Promises: when `drop` returns, the file is there completely and survives a power cut. A reader never
sees a part of it. Leaves out: its content, and whether anybody takes it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from provisioner.contract import ConfigError
from provisioner.spool.submission import RESULT, SIGNATURE, label
from provisioner.system import ulid
from provisioner.system.entry import rename_new, rename_own

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST = 200


def drop(staging: Path, name: str, body: bytes) -> str:
    """Put a file into staging and flush it; return the name it got.

    name: the wanted one, ending in `.yaml`, `.yml` or `.json`; if another file may have it, a ULID
    is put before the ending. The file belongs to the caller, with mode 0600 whatever the umask.
    Raises ConfigError if the caller cannot write to staging, ValueError for an impossible name,
    OSError if the disk is full or fails.
    """
    if not name.endswith((".yaml", ".yml", ".json")):
        raise ValueError(f"{name!r} does not end in .yaml, .yml or .json")
    if name.endswith(RESULT):
        raise ValueError(f"{name!r} ends as a result's name does")
    return _into(staging, name, body)


def drop_companion(staging: Path, name: str, body: bytes) -> str:
    """Put a file that a request will name into staging and flush it; return the name it got.

    name: ends in `.jsonl` or `.users`, so that it is not taken as a request. Raises as `drop` does.
    """
    if not name.endswith((".jsonl", ".users")):
        raise ValueError(f"{name!r} ends in neither .jsonl nor .users")
    return _into(staging, name, body)


def drop_signed(staging: Path, name: str, body: bytes, signature: bytes) -> str:
    """Put a request and its signature into staging and flush them; return the request's name.

    A ULID is put before the ending of the name, so that the two belong together whatever else is
    there. A name that is too long for that is left out. Raises as `drop` does.
    """
    stem, dot, ending = name.rpartition(".")
    new = ulid.new()
    wanted = f"{stem}-{new}{dot}{ending}"
    name = wanted if label(wanted) == wanted else f"{new}.{ending}"
    beside = _into(staging, name + SIGNATURE, signature)
    try:
        return drop(staging, name, body)
    except BaseException:
        with contextlib.suppress(OSError):
            (staging / beside).unlink()
        raise


def _into(staging: Path, name: str, body: bytes) -> str:
    _check_name(name)
    try:
        # A writer may not be able to list staging (mode 1733): searching it is enough.
        directory = os.open(staging, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"{staging}: {error.strerror}", advice="give the service's staging directory"
        ) from error
    try:
        return _drop(staging, directory, name, body)
    finally:
        os.close(directory)


def _check_name(name: str) -> None:
    if not name or "/" in name or "\0" in name or name.startswith("."):
        raise ValueError(f"{name!r} cannot name a request's file")
    if len(os.fsencode(name)) > _LONGEST:
        raise ValueError(f"{name!r} is longer than {_LONGEST} bytes")


def _drop(staging: Path, directory: int, name: str, body: bytes) -> str:
    temporary = f".{ulid.new()}.tmp"
    try:
        file = os.open(temporary, _CREATE, 0o600, dir_fd=directory)
    except PermissionError as error:
        raise ConfigError(
            f"{staging}: {error.strerror}", advice="ask for membership in the group that may write"
        ) from error
    try:
        # Closed before its name appears: the intake ignores a file that is open for writing.
        _fill(file, body)
        listing = _to_flush(directory, temporary)
        try:
            name = _settle(directory, temporary, name)
            os.fsync(listing)
        finally:
            os.close(listing)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise
    return name


def _fill(file: int, body: bytes) -> None:
    try:
        os.fchmod(file, 0o600)
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    finally:
        os.close(file)


def _to_flush(directory: int, temporary: str) -> int:
    """Open what has to be flushed after the rename: the directory, or else the file.

    A directory without read permission cannot be opened for fsync. On ext4, XFS and btrfs the
    rename is part of the file's own history, and flushing the file writes it.
    """
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    except PermissionError:
        return os.open(temporary, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)


def _settle(directory: int, temporary: str, name: str) -> str:
    """Rename to the first free name."""
    try:
        rename_new(directory, temporary, directory, name)
    except FileExistsError:
        stem, dot, ending = name.rpartition(".")
        name = f"{stem}-{ulid.new()}{dot}{ending}"
        rename_own(directory, temporary, directory, name)
    return name
