"""Programs: run one and wait, for a bounded time, without a shell.

Promises: a program that takes too long is ended with everything in its process group; it gets only
the input, output and environment that the caller gives; its output takes bounded memory. Leaves
out: what exit codes mean.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import selectors
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, cast

from provisioner.contract import PATH, Completed, Permanent, Unavailable

OUTPUT = 32 << 20
"""The most bytes kept of each stream: more than any backend's listing needs."""

_GRACE = 2.0
"""Seconds between asking a program's group to end and killing it."""

_CHUNK = 1 << 16


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
    directory: int | None = None,
) -> Completed:
    """Run a program to its end, and return how it ended.

    argv: program and arguments, never a shell's text; timeout: seconds, after which its process
    group is ended and `timed_out` is set; env: added to PATH and LANG=C; directory: an open one to
    work in, default: this process's. What the program itself started under another user (sudo, ssh)
    may outlive it: the program that does the work sets its own limits.

    Raises Unavailable if the program cannot be run: its file system may be away for now. Raises
    Permanent if it printed more than OUTPUT: a part of a list is not a list.
    """
    deadline = time.monotonic() + timeout
    process: subprocess.Popen[bytes] | None = None
    try:
        with _signals_postponed():
            process = _start(argv, env, directory)
            pipes = _Pipes(process, stdin.encode("utf-8", "backslashreplace"))
        timed_out = not (pipes.drain(deadline) and _over(process, deadline))
        if timed_out:
            _end(process, pipes)
    except BaseException:  # this process is told to stop
        if process is not None:
            _end(process, pipes)
        raise
    finally:
        if process is not None:
            pipes.close()
    if pipes.overfull and not timed_out:
        raise Permanent(
            f"{shlex.join(argv)[:200]} printed more than {OUTPUT >> 20} MiB",
            advice="run it by hand as the service's user, and check its output",
        )
    code = process.returncode if process.returncode is not None else -signal.SIGKILL
    return Completed(tuple(argv), code, pipes.text("stdout"), pipes.text("stderr"), timed_out)


@contextlib.contextmanager
def _signals_postponed() -> Iterator[None]:
    """Postpone handlers of signals until the end of the block.

    A handler that raises between the fork and the return of Popen leaves a program that nobody
    knows of. The signals are not blocked, because the program would inherit that.
    """
    came: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            if callable(handler := signal.getsignal(number)):
                handlers[number] = handler
                signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for postponed in came:
            signal.raise_signal(postponed)


def _start(
    argv: Sequence[str], env: Mapping[str, str] | None, directory: int | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": PATH, "LANG": "C", "LC_ALL": "C", **(env or {})},
            bufsize=0,
            start_new_session=True,
            close_fds=True,
            # The child looks up the link among its own; if the link is dead, nothing is run.
            cwd=None if directory is None else f"/proc/self/fd/{directory}",
        )
    except OSError as error:
        message = f"{argv[0]} cannot be run: {error.strerror}"
        if error.errno == errno.E2BIG:
            raise Permanent(message, advice="the request names too many things at once") from None
        raise Unavailable(
            message,
            advice="install it, mount its file system, or set its path in the handler's settings",
        ) from None


def _over(process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Wait for a program that has closed its pipes; return False if it was not over in time."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
    return process.returncode is not None


def _end(process: subprocess.Popen[bytes], pipes: _Pipes) -> None:
    """End the program's group, and read what it still prints.

    A process outside the group may hold the pipes: nobody waits for it.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        # Also if the leader is over: others of its group may ignore the request to end.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        until = time.monotonic() + _GRACE
        if pipes.drain(until):
            _over(process, until)
    process.poll()


class _Pipes:
    """A program's three pipes. overfull: True if more came than is kept."""

    def __init__(self, process: subprocess.Popen[bytes], given: bytes) -> None:
        assert process.stdin and process.stdout and process.stderr
        self.overfull = False
        self._given = memoryview(given)
        self._kept = {"stdout": bytearray(), "stderr": bytearray()}
        self._selector = selectors.PollSelector()
        os.set_blocking(process.stdin.fileno(), False)
        self._selector.register(process.stdin, selectors.EVENT_WRITE, "stdin")
        self._selector.register(process.stdout, selectors.EVENT_READ, "stdout")
        self._selector.register(process.stderr, selectors.EVENT_READ, "stderr")

    def text(self, name: str) -> str:
        """Return what was kept of a stream."""
        return self._kept[name].decode("utf-8", "backslashreplace")

    def drain(self, deadline: float) -> bool:
        """Write and read until all pipes are closed at the other end; return False after the
        deadline."""
        while self._selector.get_map():
            rest = deadline - time.monotonic()
            if rest <= 0:
                return False
            for key, _ in self._selector.select(rest):
                done = self._give(key.fd) if key.data == "stdin" else self._take(key.fd, key.data)
                if done:
                    self._close(key)
        return True

    def close(self) -> None:
        """Close what is still open."""
        for key in list(self._selector.get_map().values()):
            self._close(key)
        self._selector.close()

    def _close(self, key: selectors.SelectorKey) -> None:
        self._selector.unregister(key.fileobj)
        cast(IO[bytes], key.fileobj).close()

    def _give(self, pipe: int) -> bool:
        """Write a part of the input; return True if there is no more, or nobody reads it."""
        try:
            self._given = self._given[os.write(pipe, self._given[: select.PIPE_BUF]) :]
        except BrokenPipeError:
            return True
        return not self._given

    def _take(self, pipe: int, name: str) -> bool:
        """Read a part of the output, and keep what fits; return True if there is no more."""
        part = os.read(pipe, _CHUNK)
        kept = self._kept[name]
        room = OUTPUT - len(kept)
        kept += part[:room]
        self.overfull = self.overfull or len(part) > room
        return not part
