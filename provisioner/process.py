"""Programs: run one and wait, for a bounded time, without a shell.

Promises: a program that takes too long is ended with everything in its process group; its input,
output and environment are what was given and no more. Leaves out: what exit codes mean.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from provisioner.contract import Completed, ConfigError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_GRACE = 2.0
"""Seconds between asking a program's group to end and ending it."""


def run(
    argv: Sequence[str],
    *,
    stdin: str = "",
    timeout: float = 60.0,
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run a program to its end.

    argv: program and arguments, never a shell's text; timeout: seconds, after which its process
    group is ended and `timed_out` is set; env: added to PATH and LANG=C. Raises ConfigError where
    there is no such program. What the program itself started under another user (sudo, ssh) may
    outlive it: limits belong to the program that does the work.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": PATH, "LANG": "C", "LC_ALL": "C", **(env or {})},
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
            close_fds=True,
        )
    except OSError as error:
        raise ConfigError(
            f"{argv[0]} cannot be run: {error.strerror}",
            advice="install it, or give its path in the handler's settings",
        ) from None
    try:
        stdout, stderr = process.communicate(stdin, timeout)
        return Completed(tuple(argv), process.returncode, stdout, stderr)
    except subprocess.TimeoutExpired:
        stdout, stderr = _end(process)
        code = process.returncode if process.returncode is not None else -signal.SIGKILL
        return Completed(tuple(argv), code, stdout, stderr, timed_out=True)


def _end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End the program's group; return what it printed."""
    printed = None
    for number in (signal.SIGTERM, signal.SIGKILL):
        # Also where the leader is over: others of its group may ignore being asked.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        if printed is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                printed = process.communicate(timeout=_GRACE)
    if printed is not None:
        return printed
    # Somebody outside the group still holds the pipes: what it says is no longer waited for.
    process.poll()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    return "", ""
