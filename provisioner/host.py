"""What is done to directories on a host: a few fixed verbs, by directory file descriptors.

Promises: every component below `root` is opened without following a link, so a path that a hostile
user has prepared leads nowhere else; a new directory appears whole or not at all, and what is
missing above it belongs to root; nothing is ever removed but a hidden directory that an interrupted
`make` left. Leaves out: deciding (`handlers`).
Source of the ACL's binary form: linux/posix_acl_xattr.h.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from provisioner.contract import (
    CLOSED_HOME,
    Conflict,
    DirectoryState,
    Permanent,
    Unavailable,
    closed_home,
)
from provisioner.rename import rename_new

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ACCESS, _DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
_VERSION = 2
_TAGS = {"u": 0x02, "g": 0x08}
_OWNER, _USER, _GROUP_OWNER, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NO_ID = 0xFFFFFFFF


def build(argument: str) -> RealHost:
    """Build the real host; it has no argument."""
    return RealHost()


class RealHost:
    """This host."""

    def observe(self, root: Path, path: str, *, mounted: bool = False) -> DirectoryState:
        """Look at what is at a path, following no link.

        Raises Conflict where a component on the way is a link or no directory.
        """
        parent, name = _split(path)
        try:
            with _walk(root, parent, mounted) as directory:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if not stat.S_ISDIR(found.st_mode):
                    return DirectoryState(True, found.st_uid, found.st_gid, kind=_kind(found))
                opened = _enter(directory, name, root, path)
        except FileNotFoundError:
            return DirectoryState(False)
        try:
            return self._state(opened)
        finally:
            os.close(opened)

    def make(
        self,
        root: Path,
        path: str,
        *,
        uid: int,
        gid: int,
        mode: int,
        skeleton: Path | None,
        mounted: bool = False,
    ) -> None:
        """Make a directory with a copy of the skeleton, whole or not at all.

        One that is there keeps every file: that is a Conflict, which a new look settles.
        Directories above it that are missing are root's, mode 0755.
        """
        parent, name = _split(path)
        if parent and not self.observe(root, parent, mounted=mounted).present:
            with suppress(Conflict):  # what came to be meanwhile is looked at on the way
                self.make(root, parent, uid=0, gid=0, mode=0o755, skeleton=None, mounted=mounted)
        hidden = f".{name}.provisioner-new"
        with _walk(root, parent, mounted) as directory:
            with suppress(FileNotFoundError):
                os.close(_enter(directory, hidden, root, path))
                _remove(directory, hidden)
            os.mkdir(hidden, 0o700, dir_fd=directory)
            made = os.open(hidden, _OPEN, dir_fd=directory)
            try:
                if skeleton is not None:
                    self._copy(skeleton, made, uid, gid)
                self._own(made, uid, gid)
                self._chmod(made, mode)
                os.fsync(made)
            finally:
                os.close(made)
            try:
                rename_new(directory, hidden, directory, name)
            except FileExistsError:
                _remove(directory, hidden)
                raise Conflict(f"{root / path} came to be meanwhile") from None
            os.fsync(directory)

    def set_owner(self, root: Path, path: str, *, uid: int, gid: int) -> None:
        """Give a directory to an owner and a group; to root, it gets the mark of a closed home.

        The mark comes first, so that a kill leaves no directory of root's without it, and once
        more, as the one who owned it could take it off in between.
        """
        with _directory(root, path) as opened:
            self._permit(opened)
            if uid == 0:
                self._mark(opened)
            self._own(opened, uid, gid)
            if uid == 0:
                self._mark(opened)

    def set_mode(self, root: Path, path: str, *, mode: int) -> None:
        """Set a directory's permission bits."""
        with _directory(root, path) as opened:
            self._permit(opened)
            self._chmod(opened, mode)

    def set_acl(self, root: Path, path: str, *, acl: str) -> None:
        """Set a directory's POSIX ACL: `u:1234:rwx,g:55:r-x,d:u:1234:rwx`; '' takes it off.

        `g::r-x` is the owning group's own entry, `o::` that of others; what is left out is taken
        from the mode. The mask lets through what any entry gives.
        """
        with _directory(root, path) as opened:
            self._permit(opened)
            mode = os.fstat(opened).st_mode
            for name, prefix in ((_ACCESS, ""), (_DEFAULT, "d:")):
                encoded = _encode(acl, prefix, mode)
                try:
                    if encoded:
                        os.setxattr(opened, name, encoded)
                    else:
                        os.removexattr(opened, name)
                except OSError as error:
                    if encoded or error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
                        raise Permanent(f"{root / path}: ACL: {error.strerror}") from None

    def children(self, root: Path, *, mounted: bool = False) -> Sequence[str]:
        """List the directories in the root, but hidden ones."""
        with _walk(root, "", mounted) as directory, os.scandir(directory) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            )

    # What an emulated host and the agent do otherwise.

    def _permit(self, opened: int) -> None:
        """Raise Permanent where an open directory may not be changed."""

    def _state(self, opened: int) -> DirectoryState:
        found = os.fstat(opened)
        mode = stat.S_IMODE(found.st_mode)
        return DirectoryState(True, found.st_uid, found.st_gid, mode, _decode(opened))

    def _mark(self, opened: int) -> None:
        mode = self._state(opened).mode
        if not closed_home(mode):
            self._chmod(opened, mode & 0o700 | CLOSED_HOME)

    def _own(self, opened: int, uid: int, gid: int) -> None:
        try:
            os.fchown(opened, uid, gid)
        except OSError as error:
            raise Permanent(
                f"the owner cannot be set to {uid}:{gid}: {error.strerror}",
                advice="the service needs CAP_CHOWN where homes are",
            ) from None

    def _chmod(self, opened: int, mode: int) -> None:
        os.fchmod(opened, mode)

    def _copy(self, source: Path, target: int, uid: int, gid: int) -> None:
        """Copy files, directories and links of the skeleton into an open directory."""
        for entry in sorted(source.iterdir()):
            found = entry.lstat()
            if stat.S_ISLNK(found.st_mode):
                os.symlink(entry.readlink(), entry.name, dir_fd=target)
                with suppress(PermissionError):
                    os.chown(entry.name, uid, gid, dir_fd=target, follow_symlinks=False)
            elif stat.S_ISDIR(found.st_mode):
                os.mkdir(entry.name, 0o700, dir_fd=target)
                opened = os.open(entry.name, _OPEN, dir_fd=target)
                try:
                    self._copy(entry, opened, uid, gid)
                    self._own(opened, uid, gid)
                    self._chmod(opened, stat.S_IMODE(found.st_mode))
                finally:
                    os.close(opened)
            elif stat.S_ISREG(found.st_mode):
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                opened = os.open(entry.name, flags, 0o600, dir_fd=target)
                try:
                    rest = memoryview(entry.read_bytes())
                    while rest:
                        rest = rest[os.write(opened, rest) :]
                    self._own(opened, uid, gid)
                    self._chmod(opened, stat.S_IMODE(found.st_mode) & 0o777)
                    os.fsync(opened)
                finally:
                    os.close(opened)


def _split(path: str) -> tuple[str, str]:
    parts = [part for part in path.split("/") if part]
    if not parts or any(part in (".", "..") for part in parts) or path.startswith("/"):
        raise Permanent(f"{path!r} is no path below a root")
    return "/".join(parts[:-1]), parts[-1]


@contextmanager
def _walk(root: Path, path: str, mounted: bool = False) -> Iterator[int]:
    """Open a directory below the root, a component at a time, following no link.

    mounted: raise Unavailable where the root that was opened is no mount point.
    """
    try:
        current = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        advice = f"mount it, or mkdir {root}, owned by root, mode 0755"
        raise Unavailable(f"{root}: {error.strerror}", advice=advice) from None
    try:
        if mounted and not _is_mount(current):
            raise Unavailable(
                f"{root} is no mount point: its file system is not mounted",
                advice=f"mount {root}, and work goes on by itself; where it is to be an ordinary "
                "directory, take `mounted: true` out of the handler's settings",
            )
        for part in [part for part in path.split("/") if part]:
            inner = _enter(current, part, root, path)
            os.close(current)
            current = inner
        yield current
    finally:
        os.close(current)


def _is_mount(opened: int) -> bool:
    """Say whether an open directory is where a file system is mounted, be it by a bind mount."""
    above = os.open("..", _OPEN, dir_fd=opened)
    try:
        return _mount(opened) != _mount(above)
    finally:
        os.close(above)


def _mount(opened: int) -> str:
    """Give the kernel's number of the mount that an open directory lies in."""
    lines = Path(f"/proc/self/fdinfo/{opened}").read_text().splitlines()
    return next(line for line in lines if line.startswith("mnt_id:"))


def _enter(directory: int, name: str, root: Path, path: str) -> int:
    try:
        return os.open(name, _OPEN, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Conflict(
                f"{root / path}: {name} is a link or no directory",
                advice="look who made it; the service follows no link",
            ) from None
        raise


@contextmanager
def _directory(root: Path, path: str) -> Iterator[int]:
    parent, name = _split(path)
    with _walk(root, parent) as directory:
        opened = _enter(directory, name, root, path)
        try:
            yield opened
        finally:
            os.close(opened)


def _remove(directory: int, name: str) -> None:
    """Remove a hidden directory that an interrupted `make` left, following no link."""
    opened = os.open(name, _OPEN, dir_fd=directory)
    try:
        with os.scandir(opened) as found:
            entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
        for inner, is_directory in entries:
            if is_directory:
                _remove(opened, inner)
            else:
                os.unlink(inner, dir_fd=opened)
    finally:
        os.close(opened)
    os.rmdir(name, dir_fd=directory)


def _kind(found: os.stat_result) -> str:
    kinds = {
        stat.S_IFLNK: "link",
        stat.S_IFREG: "file",
        stat.S_IFIFO: "FIFO",
        stat.S_IFSOCK: "socket",
    }
    return kinds.get(stat.S_IFMT(found.st_mode), "device")


def _bits(text: str) -> int:
    return sum(bit for letter, bit in (("r", 4), ("w", 2), ("x", 1)) if letter in text)


def _encode(acl: str, prefix: str, mode: int) -> bytes:
    """Encode the entries of an ACL that begin with a prefix ('' or `d:`)."""
    base = {"u": mode >> 6 & 7, "g": mode >> 3 & 7, "o": mode & 7}
    entries: list[tuple[int, int, int]] = []
    for part in [part.strip() for part in acl.split(",") if part.strip()]:
        default = part.startswith("d:")
        if default != (prefix == "d:"):
            continue
        kind, number, bits = part.removeprefix("d:").split(":")
        if number:
            entries.append((_TAGS[kind], _bits(bits), int(number)))
        else:
            base[kind] = _bits(bits)
    if not entries:
        return b""
    mask = base["g"]
    for entry in entries:
        mask |= entry[1]
    entries += [
        (_OWNER, base["u"], _NO_ID),
        (_GROUP_OWNER, base["g"], _NO_ID),
        (_MASK, mask, _NO_ID),
        (_OTHER, base["o"], _NO_ID),
    ]
    entries.sort(key=lambda entry: (entry[0], entry[2]))
    packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
    return struct.pack("<I", _VERSION) + packed


def _decode(opened: int) -> str:
    """Write the entries of a directory's ACLs, in the order of their numbers.

    Those of the owner, and of others but for a default ACL, are the mode's.
    """
    found = []
    for name, prefix in ((_ACCESS, ""), (_DEFAULT, "d:")):
        try:
            encoded = os.getxattr(opened, name)
        except OSError:
            continue
        for tag, bits, number in struct.iter_unpack("<HHI", encoded[4:]):
            letters = "".join(c if bits & b else "-" for c, b in zip("rwx", (4, 2, 1), strict=True))
            if tag in (_USER, _GROUP):
                found.append(f"{prefix}{'u' if tag == _USER else 'g'}:{number}:{letters}")
            elif tag == _GROUP_OWNER or (tag == _OTHER and prefix):
                found.append(f"{prefix}{'g' if tag == _GROUP_OWNER else 'o'}::{letters}")
    return ",".join(found)
