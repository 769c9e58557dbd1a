"""What a host does to directories: a few fixed verbs, by directory file descriptors.

Promises: every component below `root` is opened without following a link, so a path that a hostile
user has prepared leads nowhere else. Nothing is made or given to an owner below a directory that
others than root and this process's user could write to; an existing directory can be closed
wherever it is. A new directory appears complete or not at all, and missing directories above it
will belong to root. The only thing ever removed is a hidden directory that an interrupted `make`
left. Leaves out: deciding (`handlers`).
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.contract import (
    CLOSED_HOME,
    ConfigError,
    Conflict,
    DirectoryState,
    Owner,
    Permanent,
    Unavailable,
    ask_leave,
    closed_home,
)
from provisioner.system import posix_acl
from provisioner.system.entry import rename_new
from provisioner.system.ownership import check_chain, exchangeable

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def build(argument: str) -> RealHost:
    """Build the real host; it has no argument."""
    return RealHost()


class RealHost:
    """This host."""

    def observe(self, root: Path, path: str, *, mounted: bool = False) -> DirectoryState:
        """Return what is at a path, following no link.

        Raises Conflict if a component on the way is a link or not a directory, Unavailable if users
        who are not admins could replace the root.
        """
        parent, name = _split(path)
        above = _Above(-1)
        try:
            with self._walk(root, parent, mounted) as above:
                status = os.stat(name, dir_fd=above.directory, follow_symlinks=False)
                if not stat.S_ISDIR(status.st_mode):
                    return DirectoryState(True, status.st_uid, status.st_gid, kind=_kind(status))
                opened = _enter(above.directory, name, root, path)
        except _NotThere as missing:
            return DirectoryState(False, above=missing.steered)
        except FileNotFoundError:
            return DirectoryState(False, above=above.steered)
        try:
            return replace(self._state(opened), above=above.steered)
        finally:
            os.close(opened)

    def make(
        self,
        root: Path,
        path: str,
        *,
        owner: Owner,
        mode: int,
        skeleton: Path | None,
        mounted: bool = False,
    ) -> None:
        """Make a directory with a copy of the skeleton, complete or not at all.

        An existing directory keeps every file: that is a Conflict, which another reading settles.
        Missing directories above it are made, owned by root, mode 0755.
        """
        parent, name = _split(path)
        if parent and not self.observe(root, parent, mounted=mounted).present:
            with suppress(Conflict):  # the walk below checks what was made meanwhile
                self.make(
                    root, parent, owner=Owner(0, 0), mode=0o755, skeleton=None, mounted=mounted
                )
        hidden = f".{name}.provisioner-new"
        with self._walk(root, parent, mounted) as above:
            above.check()
            ask_leave()
            directory = above.directory
            with suppress(FileNotFoundError):
                os.close(_enter(directory, hidden, root, path))
                _remove(directory, hidden)
            os.mkdir(hidden, 0o700, dir_fd=directory)
            made = os.open(hidden, _OPEN, dir_fd=directory)
            try:
                if skeleton is not None:
                    self._copy(skeleton, made, owner)
                self._own(made, owner)
                self._chmod(made, mode)
                os.fsync(made)
            finally:
                os.close(made)
            try:
                rename_new(directory, hidden, directory, name)
            except FileExistsError:
                _remove(directory, hidden)
                raise Conflict(f"{root / path} was made meanwhile") from None
            os.fsync(directory)

    def set_owner(self, root: Path, path: str, *, owner: Owner) -> None:
        """Give a directory to an owner and a group; given to root, it gets the mark of a closed
        home.

        The mark comes first, so that a kill leaves no directory of root without it, and again
        afterwards, because the former owner could remove it in between.
        """
        with self._directory(root, path, taking=owner.uid == 0) as opened:
            self._permit(opened)
            if owner.uid == 0:
                self._mark(opened)
            self._own(opened, owner)
            if owner.uid == 0:
                self._mark(opened)

    def set_mode(self, root: Path, path: str, *, mode: int) -> None:
        """Set a directory's permission bits."""
        with self._directory(root, path, taking=closed_home(mode)) as opened:
            self._permit(opened)
            self._chmod(opened, mode)

    def set_acl(self, root: Path, path: str, *, acl: str) -> None:
        """Set a directory's POSIX ACL: `u:1234:rwx,g:55:r-x,d:u:1234:rwx`; '' removes it.

        `g::r-x` is the owning group's own entry, `o::` that of others; missing ones come from the
        mode. The mask allows what any entry gives.
        """
        with self._directory(root, path) as opened:
            self._permit(opened)
            mode = os.fstat(opened).st_mode
            for name, prefix in posix_acl.KINDS:
                encoded = posix_acl.encode(acl, prefix, mode)
                try:
                    if encoded:
                        os.setxattr(opened, name, encoded)
                    else:
                        os.removexattr(opened, name)
                except OSError as error:
                    if encoded or error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
                        raise Permanent(f"{root / path}: ACL: {error.strerror}") from None

    def children(self, root: Path, *, mounted: bool = False) -> Sequence[str]:
        """Return the directories in the root, except hidden ones."""
        with self._walk(root, "", mounted) as above, os.scandir(above.directory) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            )

    @contextmanager
    def _walk(self, root: Path, path: str, mounted: bool = False) -> Iterator[_Above]:
        """Open a directory below the root, a component at a time, following no link.

        mounted: raise Unavailable if the opened root is not a mount point. Also raises Unavailable
        if users who are not admins could replace the root.
        """
        try:
            check_chain(root / "home")
            current = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except ConfigError as error:
            raise Unavailable(error.message, advice=error.advice) from None
        except OSError as error:
            advice = f"mount it, or mkdir {root}, owned by root, mode 0755"
            raise Unavailable(f"{root}: {error.strerror}", advice=advice) from None
        at, steered = root, ""
        try:
            if mounted and not _is_mount(current):
                raise Unavailable(
                    f"{root} is not a mount point: its file system is not mounted",
                    advice=f"mount {root}, and the service continues by itself; if it should be "
                    "an ordinary directory, remove `mounted: true` from the handler's settings",
                )
            for part in [part for part in path.split("/") if part]:
                try:
                    inner = _enter(current, part, root, path)
                except FileNotFoundError as error:
                    raise _NotThere(error, at / part, steered) from None
                os.close(current)
                current, at = inner, at / part
                state = self._state(current)
                wrong = exchangeable(state.uid, state.gid, state.mode)
                if wrong and not steered:
                    steered = f"{at} {wrong[0]} ({wrong[1]} {shlex.quote(str(at))})"
            yield _Above(current, steered)
        finally:
            os.close(current)

    @contextmanager
    def _directory(self, root: Path, path: str, *, taking: bool = False) -> Iterator[int]:
        """Open a directory below the root. taking: access is only removed, so it may be
        anywhere."""
        parent, name = _split(path)
        with self._walk(root, parent) as above:
            if not taking:
                above.check()
            opened = _enter(above.directory, name, root, path)
            try:
                ask_leave()
                yield opened
            finally:
                os.close(opened)

    # Steps that an emulated host and the agent replace.

    def _permit(self, opened: int) -> None:
        """Raise Permanent if an open directory may not be changed."""

    def _state(self, opened: int) -> DirectoryState:
        status = os.fstat(opened)
        mode = stat.S_IMODE(status.st_mode)
        return DirectoryState(True, status.st_uid, status.st_gid, mode, posix_acl.decode(opened))

    def _mark(self, opened: int) -> None:
        mode = self._state(opened).mode
        if not closed_home(mode):
            self._chmod(opened, mode & 0o700 | CLOSED_HOME)

    def _own(self, opened: int, owner: Owner) -> None:
        try:
            os.fchown(opened, *owner)
        except OSError as error:
            raise Permanent(
                f"the owner cannot be set to {owner.uid}:{owner.gid}: {error.strerror}",
                advice="the service needs CAP_CHOWN to give homes to their owners",
            ) from None

    def _chmod(self, opened: int, mode: int) -> None:
        os.fchmod(opened, mode)

    def _copy(self, source: Path, target: int, owner: Owner) -> None:
        """Copy files, directories and links of the skeleton into an open directory."""
        for entry in sorted(source.iterdir()):
            status = entry.lstat()
            if stat.S_ISLNK(status.st_mode):
                os.symlink(entry.readlink(), entry.name, dir_fd=target)
                with suppress(PermissionError):
                    os.chown(entry.name, *owner, dir_fd=target, follow_symlinks=False)
            elif stat.S_ISDIR(status.st_mode):
                os.mkdir(entry.name, 0o700, dir_fd=target)
                opened = os.open(entry.name, _OPEN, dir_fd=target)
                try:
                    self._copy(entry, opened, owner)
                    self._own(opened, owner)
                    self._chmod(opened, stat.S_IMODE(status.st_mode))
                finally:
                    os.close(opened)
            elif stat.S_ISREG(status.st_mode):
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                opened = os.open(entry.name, flags, 0o600, dir_fd=target)
                try:
                    rest = memoryview(entry.read_bytes())
                    while rest:
                        rest = rest[os.write(opened, rest) :]
                    self._own(opened, owner)
                    self._chmod(opened, stat.S_IMODE(status.st_mode) & 0o777)
                    os.fsync(opened)
                finally:
                    os.close(opened)


@dataclass(frozen=True, slots=True)
class _Above:
    """The open directory above a home. steered: why users who are not admins could replace it."""

    directory: int
    steered: str = ""

    def check(self) -> None:
        """Raise Permanent if nothing may be made or given here."""
        if self.steered:
            raise steered(self.steered)


class _NotThere(FileNotFoundError):
    """A directory on the way is missing. steered: as for the directories above it."""

    def __init__(self, error: OSError, path: Path, steered: str) -> None:
        super().__init__(error.errno, error.strerror, str(path))
        self.steered = steered


def steered(above: str) -> Permanent:
    """Return the fault that says that no home is made or given below a directory of non-admins."""
    return Permanent(
        f"{above}: somebody who is not an admin could replace what lies below it, so no home is "
        "made or given there",
        advice="fix that, then `provisioner retry`",
    )


def _split(path: str) -> tuple[str, str]:
    parts = [part for part in path.split("/") if part]
    if not parts or any(part in (".", "..") for part in parts) or path.startswith("/"):
        raise Permanent(f"{path!r} is not a path below a root")
    return "/".join(parts[:-1]), parts[-1]


def _is_mount(opened: int) -> bool:
    """Return True if an open directory is a mount point, also of a bind mount."""
    above = os.open("..", _OPEN, dir_fd=opened)
    try:
        return _mount(opened) != _mount(above)
    finally:
        os.close(above)


def _mount(opened: int) -> str:
    """Return the kernel's number of the mount that contains an open directory."""
    lines = Path(f"/proc/self/fdinfo/{opened}").read_text().splitlines()
    return next(line for line in lines if line.startswith("mnt_id:"))


def _enter(directory: int, name: str, root: Path, path: str) -> int:
    try:
        return os.open(name, _OPEN, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Conflict(
                f"{root / path}: {name} is a link or not a directory",
                advice="find out who made it; the service follows no link",
            ) from None
        raise


def _remove(directory: int, name: str) -> None:
    """Remove a hidden directory that an interrupted `make` left, following no link."""
    opened = os.open(name, _OPEN, dir_fd=directory)
    try:
        with os.scandir(opened) as scan:
            entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in scan]
        for inner, is_directory in entries:
            if is_directory:
                _remove(opened, inner)
            else:
                os.unlink(inner, dir_fd=opened)
    finally:
        os.close(opened)
    os.rmdir(name, dir_fd=directory)


def _kind(status: os.stat_result) -> str:
    kinds = {
        stat.S_IFLNK: "link",
        stat.S_IFREG: "file",
        stat.S_IFIFO: "FIFO",
        stat.S_IFSOCK: "socket",
    }
    return kinds.get(stat.S_IFMT(status.st_mode), "device")
