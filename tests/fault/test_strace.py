"""System calls of the service that fail, and system calls at which it is killed.

strace attaches to the running service and injects. It counts a thread at a time, so that this is a
sample, where `test_kill_sweep` is complete; what did not fire is printed, and each kind of call has
to have fired. PROVISIONER_FAULT=whole (`make fault`) takes every kind of call with every fault.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.fault import invariant, scenario
from tests.support.waiting import until

WHOLE = os.environ.get("PROVISIONER_FAULT") == "whole"

FAULTS = ("signal=KILL", "error=EIO", "error=ENOSPC", "error=EINTR", "error=EDQUOT")

CALLS = {
    "openat": ("first", 5, 60),
    "renameat2": ("first", 2, 6),
    "renameat": ("first", 1, 7),
    "write": ("first", 3, 11),
    "pwrite64": ("first", 2, 20),
    "fdatasync": ("first", 1, 3),
    "unlinkat": ("second", 1, 2),
}
"""Calls, the act in which they are made, and at which of a thread's a fault is injected."""

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def traced(stage: scenario.Stage, call: str, fault: str, when: object) -> bool:
    """Play an act with a fault; return whether it fired."""
    words = ("run", "--drain", "--patience", "2")
    process = stage.nursery.start(stage.root, *words, stopped=True)
    _wait_until_stopped(process)
    trace = stage.root / "trace"
    inject = f"inject={call}:{fault}:when={when}"
    options = ("-f", "-p", str(process), "-o", str(trace), "-e", f"trace={call}", "-e", inject)
    with subprocess.Popen(["strace", *options], stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        assert "attached" in said, said + strace.stderr.read()
        os.kill(process, signal.SIGCONT)
        strace.communicate()
    ended = stage.nursery.end(process)
    text = trace.read_text()
    trace.unlink()
    return ended.killed if "KILL" in fault else "(INJECTED)" in text


def _wait_until_stopped(process: int) -> None:
    status = Path(f"/proc/{process}/status")
    until(lambda: "T (stopped)" in status.read_text(), "the process is stopped")


@root_only
@pytest.mark.parametrize("call", CALLS)
def test_a_system_call_that_fails_or_kills_loses_nothing(stage: scenario.Stage, call: str) -> None:
    act, *times = CALLS[call]
    plan = [(fault, when) for when in times for fault in FAULTS]
    if act == "second":
        stage.set_second_back()
    silent, problems = [], []
    turn = list(CALLS).index(call)
    chosen = plan if WHOLE else [plan[turn % len(FAULTS)]]
    for fault, when in chosen:
        what = f"{call} {when}: {fault}"
        stage.set_back(str(act))
        if not traced(stage, call, fault, when):
            silent.append(what)
        stage.finish(str(act))
        # What failed may be what a request asked for: then it failed, once, and says so.
        ids = scenario.IDS | scenario.LATER_IDS
        problems += [f"{what}: {text}" for text in invariant.violations(stage.root, ids)]
        stage.unsettled("mend")
        problems += [f"{what}: reconcile still had to: {t}" for t in stage.unsettled("again")]
    print(f"\n{call}: runs {len(chosen)}, did not fire {silent}, amiss {len(problems)}")
    assert len(silent) < len(chosen), "none fired"
    assert not problems, "\n".join(problems)
