"""Receipts: how a request stands, where its writer can read it from acceptance on.

Promises: `receipts/<writer>/<id>.yaml` is always whole, and nobody reads it but its writer and the
service: the writer's directory belongs to the service and lets one other user in. Ids and names are
made safe for file names. Leaves out: flushing, as the journal can make every receipt again; and
what a receipt says.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import pwd
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from provisioner import ulid
from provisioner.contract import Json
from provisioner.documents import dump
from provisioner.rename import rename_new

log = logging.getLogger(__name__)

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST = 160
ENDING = ".yaml"
_PLAIN = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9_.@+-]{0,159}\Z")
_AT_CWD = -100  # from fcntl.h: names are paths
_NO_ACL = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EPERM}

# linux/posix_acl_xattr.h: tag, permissions, id; sorted by tag.
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NOBODY = 0xFFFFFFFF


def path(receipts: Path, writer: str, name: str) -> Path:
    """Say where the receipt of a writer's request is, by its id or ULID."""
    return receipts / safe(writer) / f"{safe(name)}.yaml"


def is_there(receipts: Path, writer: str, name: str) -> bool:
    """Say whether a receipt is there; one that is empty lost what was in it with the power."""
    try:
        return path(receipts, writer, name).stat().st_size > 0
    except FileNotFoundError:
        return False


def write(receipts: Path, writer: str, name: str, receipt: Mapping[str, Json]) -> None:
    """Write a receipt, in place of an earlier one.

    receipts: a directory that only the service may write to; name: the request's id or ULID.
    Raises OSError when it cannot be written.
    """
    home, entry = receipts / safe(writer), f"{safe(name)}.yaml"
    body = dump(receipt).encode("utf-8", "backslashreplace")
    try:
        directory = os.open(home, _DIRECTORY)
    except FileNotFoundError:
        _admit(home, writer)
        directory = os.open(home, _DIRECTORY)
    try:
        _replace(directory, entry, body)
    finally:
        os.close(directory)


def entries(receipts: Path, before: float) -> Iterator[Path]:
    """Give the receipts that were last written before a time, writer by writer."""
    for home in sorted(path for path in receipts.iterdir() if path.is_dir()):
        for entry in os.scandir(home):
            if entry.name.endswith(ENDING) and entry.stat(follow_symlinks=False).st_ctime < before:
                yield Path(entry.path)


def request_of(receipt: Path) -> str | None:
    """Return the ULID of the request that a receipt tells of; None where it says none."""
    with receipt.open("rb") as file:
        word, _, value = file.readline(200).decode("ascii", "replace").strip().partition(": ")
    value = value.strip("'\"")
    return value if word == "id" and ulid.is_ulid(value) else None


def remove(receipts: Path, writer: str, name: str) -> None:
    """Remove a receipt, if it is there."""
    path(receipts, writer, name).unlink(missing_ok=True)


def safe(text: str) -> str:
    """Make a text fit to be a file name; different texts get different names.

    All but letters, digits and `_-.@+~` is written as `%0A`, and so is a dot or dash in front;
    what is long is cut, with a hash of the whole.
    """
    if _PLAIN.match(text):
        return text
    name = quote(text, safe="@+", errors="surrogatepass")
    if not name or name[0] in ".-~":
        name = f"%{ord(text[0]):02X}{name[1:]}" if text else "%"
    if len(name) > _LONGEST:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        name = f"{name[:_LONGEST]}%~{digest}"
    return name


def _replace(directory: int, name: str, body: bytes) -> None:
    temporary = f".{ulid.new()}"
    file = os.open(temporary, _CREATE, 0o644, dir_fd=directory)
    try:
        # Whatever the umask: the directory keeps others out.
        os.fchmod(file, 0o644)
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
    finally:
        os.close(file)


def _admit(directory: Path, writer: str) -> None:
    """Make a writer's directory, with the writer let in before it has its name.

    The files in it are for all to read, as nobody else gets that far.
    """
    fresh = directory.parent / f".{ulid.new()}"
    fresh.mkdir(mode=0o700)
    try:
        uid = _uid(writer)
        if uid is not None and uid != os.geteuid():
            _let_in(fresh, uid)
        rename_new(_AT_CWD, str(fresh), _AT_CWD, str(directory))
    except FileExistsError:
        fresh.rmdir()
    except BaseException:
        fresh.rmdir()
        raise


def _let_in(directory: Path, uid: int) -> None:
    try:
        os.setxattr(directory, "system.posix_acl_access", _acl(uid), follow_symlinks=False)
        return
    except OSError as error:
        if error.errno not in _NO_ACL:
            raise
    try:
        # Where the file system keeps no ACLs: the writer's primary group.
        os.chown(directory, -1, pwd.getpwuid(uid).pw_gid, follow_symlinks=False)
        directory.chmod(0o750)
    except (KeyError, PermissionError) as error:
        log.warning("receipts for uid %d cannot be opened to them: %s", uid, error)


def _acl(uid: int) -> bytes:
    entries = (
        (_USER_OBJ, 7, _NOBODY),
        (_USER, 5, uid),
        (_GROUP_OBJ, 0, _NOBODY),
        (_MASK, 5, _NOBODY),
        (_OTHER, 0, _NOBODY),
    )
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def _uid(writer: str) -> int | None:
    """Find the uid behind a writer's name, `uid-1234` included."""
    try:
        return pwd.getpwnam(writer).pw_uid
    except KeyError:
        number = writer.removeprefix("uid-")
        return int(number) if number != writer and number.isdigit() else None
