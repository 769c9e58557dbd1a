"""The watcher: turns events in staging into "sweep now".

Promises: a file that is renamed in, or closed after writing, wakes the sweep within about a
millisecond. So does everything that can have hidden a file: an overflow of the kernel's queue, a
directory that was replaced, a new watch. An idle watcher sleeps in the kernel. A wake never names a
file: events are hints, and a sweep alone would be enough. Leaves out: network file systems, whose
events do not reach this host; they get no watch.

Why watchdog's `InotifyFD` and not its `Observer`: docs/adr/0001-watch-staging-by-one-inotify.md.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

log = logging.getLogger(__name__)

MASK = Mask(
    InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_ONLYDIR
)

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
_CALLBACK = CallbackId(1)


class Watcher:
    """A watch on one directory. `start`, `stop` and `healthy` are for one thread."""

    def __init__(self, staging: Path, wake: Callable[[], None]) -> None:
        """wake: called from the watcher's thread; it should only set an event."""
        self._staging = staging
        self._wake = wake
        self._inotify: InotifyFD | None = None
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
        inotify, self._inotify, self._armed = self._inotify, None, None
        if inotify is not None:
            inotify.stop()
            inotify.join(timeout=5)

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
            # ENOSPC: fs.inotify.max_user_watches; EMFILE: fs.inotify.max_user_instances. A
            # RuntimeError: the host refused the thread.
            return self._complain(f"cannot be watched: {error}")
        # The name may lead to another directory than a moment ago. So the watch counts as armed
        # only if the directory is the same before and after; else the next check arms it again.
        self._armed = identity if self._identity() == identity else None
        self._complaint = ""
        self._hint()
        return True

    # What watchdog calls, from its thread.

    def on_event(self, event: InotifyEvent) -> None:
        """Pass on a hint."""
        self._hint()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Record that the directory was removed or unmounted; `healthy` looks for its successor."""
        self._lost.set()
        self._hint()

    def on_queue_overflow(self) -> None:
        """Wake the sweep for everything: the kernel has dropped events."""
        self.overflows += 1
        log.info("%s: the kernel's queue of events overflowed; sweeping", self._staging)
        self._hint()

    # Private.

    def _hint(self) -> None:
        try:
            self._wake()
        except Exception:
            # An exception here would end watchdog's thread.
            log.exception("%s: wake failed", self._staging)

    def _arm(self) -> None:
        self._lost.clear()
        inotify = InotifyFD()
        inotify.daemon = True
        try:
            # watchdog swallows EACCES and keeps -1 as the watch.
            if inotify.add_callback(os.fsencode(self._staging), MASK, self, _CALLBACK) < 0:
                raise PermissionError("permission denied")
            inotify.start()
        except BaseException:
            inotify.close()
            raise
        self._inotify = inotify

    def _alive(self) -> bool:
        return self._inotify is not None and self._inotify.is_alive() and not self._lost.is_set()

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
