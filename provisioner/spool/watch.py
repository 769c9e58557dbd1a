"""The watcher: turns events in staging into "sweep now".

Promises: a file that is renamed in, or closed after writing, wakes the sweep within about a
millisecond. So does everything that can have hidden a file: an overflow of the kernel's queue, a
directory that was replaced, a new watch. An idle watcher sleeps in the kernel. A wake never names a
file: events are hints, and a sweep alone would be enough. Leaves out: network file systems, whose
events do not reach this host; they get no watch.

Why only watchdog's calls of inotify and not its `Observer`:
docs/adr/0001-watch-staging-by-one-inotify.md.
"""

from __future__ import annotations

import ctypes
import logging
import os
import select
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from watchdog.observers.inotify_c import InotifyConstants, inotify_add_watch, inotify_init

log = logging.getLogger(__name__)

MASK: int = (
    InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_ONLYDIR
)

_EVENT = struct.Struct("iIII")
"""`struct inotify_event` up to its name: watch, mask, cookie, length of the name (inotify(7))."""

_ROOM = 64 * 1024
"""Bytes read at once: some thousand events."""

# From statfs(2) and linux/magic.h: file systems that other hosts can write to unseen by inotify.
_NETWORK = {
    0x6969: "nfs",
    0x517B: "smb",
    0xFE534D42: "smb2",
    0xFF534D42: "cifs",
    0x0BD00BD0: "lustre",
    0x47504653: "gpfs",
    0x65735546: "fuse",
    0x00C36400: "ceph",
    0x01021997: "9p",
    0x5346414F: "afs",
    0x19830326: "beegfs",
    0x7461636F: "ocfs2",
    0x01161970: "gfs2",
}


class Watcher:
    """A watch on one directory. `start`, `stop` and `healthy` are for one thread."""

    def __init__(self, staging: Path, wake: Callable[[], None]) -> None:
        """wake: called from the watcher's thread; it should only set an event."""
        self._staging = staging
        self._wake = wake
        self._reader: _Reader | None = None
        self._armed: tuple[int, int] | None = None
        self._lost = threading.Event()
        self._complaint = ""
        self.overflows = 0
        """How often the kernel dropped events."""

    def start(self) -> None:
        """Arm the watch and wake once, for earlier files. Never raises: see `healthy`."""
        self.healthy()

    def stop(self) -> None:
        """End the watch and its thread."""
        reader, self._reader, self._armed = self._reader, None, None
        if reader is not None:
            reader.stop()

    def healthy(self) -> bool:
        """Check the watch, and renew it if necessary; takes about 5 us if all is well.

        Return True if events of the directory that now has the name will arrive. Return False if no
        directory can be watched, or it is on a network file system, so that only the sweep sees
        files. Each new watch wakes once, after it is armed. Call this about every second.
        """
        identity = self._identity()
        if identity is not None and identity == self._armed and self._alive():
            return True
        self.stop()
        if identity is None:
            return self._complain("is not a directory")
        kind = network_file_system(self._staging)
        if kind:
            return self._complain(f"is on {kind}, where events of other hosts are not seen")
        try:
            self._arm()
        except (OSError, RuntimeError) as error:
            # A RuntimeError: the host refused the thread.
            return self._complain(f"cannot be watched: {error}")
        # The name may lead to another directory than a moment ago. So the watch counts as armed
        # only if the directory is the same before and after; else the next check arms it again.
        self._armed = identity if self._identity() == identity else None
        self._complaint = ""
        self._hint()
        return True

    # Private.

    def _events(self, mask: int) -> None:
        """Pass on a hint. mask: of all events that were read; called from the reader's thread."""
        if mask & InotifyConstants.IN_Q_OVERFLOW:
            self.overflows += 1
            log.info("%s: the kernel's queue of events overflowed; sweeping", self._staging)
        if mask & InotifyConstants.IN_IGNORED:
            # The directory was removed or unmounted; `healthy` looks for its successor.
            self._lost.set()
        self._hint()

    def _hint(self) -> None:
        try:
            self._wake()
        except Exception:
            # An exception here would end the reader's thread.
            log.exception("%s: wake failed", self._staging)

    def _arm(self) -> None:
        self._lost.clear()
        reader = _Reader(self._staging, self._events)
        try:
            reader.start()
        except BaseException:
            reader.close()
            raise
        self._reader = reader

    def _alive(self) -> bool:
        return self._reader is not None and self._reader.is_alive() and not self._lost.is_set()

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self._staging.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _complain(self, what: str) -> bool:
        """Log a reason once, until it changes; return False."""
        if what != self._complaint:
            log.warning("%s %s; sweeping only", self._staging, what)
            self._complaint = what
        return False


class _Reader(threading.Thread):
    """Tells what happened in one directory; sleeps in the kernel until something does."""

    def __init__(self, path: Path, tell: Callable[[int], None]) -> None:
        """Arm the watch. tell: gets the masks of all events of one read, in one; must not raise.

        Raises OSError if the directory cannot be watched.
        """
        super().__init__(name="staging-events", daemon=True)
        self._tell = tell
        self._inotify = inotify_init()
        if self._inotify < 0:
            raise _last_error()
        try:
            # No program that the service starts keeps the watch.
            os.set_inheritable(self._inotify, False)
            if inotify_add_watch(self._inotify, os.fsencode(path), MASK) < 0:
                raise _last_error()
            self._end = os.eventfd(0)
        except BaseException:
            os.close(self._inotify)
            raise

    def run(self) -> None:
        waiting = select.poll()
        waiting.register(self._inotify, select.POLLIN)
        waiting.register(self._end, select.POLLIN)
        while self._end not in {ready for ready, _ in waiting.poll()}:
            self._tell(_masks(os.read(self._inotify, _ROOM)))

    def stop(self) -> None:
        """End the thread and the watch. Call it once."""
        os.eventfd_write(self._end, 1)
        self.join(timeout=5)
        if not self.is_alive():  # Else it would read from whatever gets its descriptors.
            self.close()

    def close(self) -> None:
        """Close the descriptors of a thread that does not run."""
        os.close(self._inotify)
        os.close(self._end)


def _masks(events: bytes) -> int:
    """Return the masks of some events in one, that of an overflow (watch -1) included."""
    masks = at = 0
    while at < len(events):
        _, mask, _, length = _EVENT.unpack_from(events, at)
        masks |= mask
        at += _EVENT.size + length
    return masks


def _last_error() -> OSError:
    # ENOSPC: fs.inotify.max_user_watches; EMFILE: fs.inotify.max_user_instances.
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))


class _Statfs(ctypes.Structure):
    """The head of struct statfs; the rest is room for what the kernel writes."""

    _fields_ = [("type", ctypes.c_long), ("rest", ctypes.c_char * 504)]


_libc = ctypes.CDLL(None, use_errno=True)


def network_file_system(path: Path) -> str:
    """Return the kind of network or cluster file system of a path; '' for a local one.

    Raises OSError if it cannot be determined.
    """
    statfs = _Statfs()
    if _libc.statfs(os.fsencode(path), ctypes.byref(statfs)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))
    return _NETWORK.get(statfs.type & 0xFFFFFFFF, "")
