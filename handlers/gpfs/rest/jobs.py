"""Jobs: what the GUI does after it has answered.

Promises: an answer to a write is never taken for its end; the job is asked until it has one, after
2, 4, 8 and then 16 seconds, up to a deadline, at the node that took it. A job without an end, and
one that the GUI forgot when it restarted, is Unknown: the service reads the object before anything
else. While such a job may still run, no further write is sent, because the GUI only queues them.
Leaves out: what a job does (`client`).

States are RUNNING, COMPLETED, FAILED, CANCELLING and CANCELLED (IBM, jobs); public clients also
met UNKNOWN.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from handlers.gpfs.rest.gui import Answer, Gui
from provisioner.contract import Fault, Json, Permanent, Transient, Unavailable, Unknown

MOST = 16.0
"""The longest wait between two questions about a job, in seconds."""

_ENDS = {"COMPLETED", "FAILED", "CANCELLED", "UNKNOWN"}

_AGAIN = "the service reads the object again before it does anything"


@dataclass(frozen=True, slots=True)
class _Job:
    node: str
    number: str
    asked: str

    @property
    def path(self) -> str:
        return f"jobs/{self.number}?fields=:all:"

    def __str__(self) -> str:
        return f"{self.asked}: job {self.number}"


@dataclass(frozen=True, slots=True)
class Jobs:
    """Runs requests that become jobs.

    patience: seconds until a job counts as one without an end; first: seconds before the first
    question, doubled for each further one; wait, clock: sleep, and a clock in seconds.
    """

    gui: Gui
    patience: float = 300.0
    first: float = 2.0
    wait: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _unfinished: list[_Job] = field(default_factory=list)

    def write(self, method: str, path: str, body: Mapping[str, Json] | None = None) -> None:
        """Send a write, and wait for its job. Raises the faults of `Transport`."""
        self._settle()
        answer = self.gui.write(method, path, body)
        if not answer.fine:
            raise refusal(answer.words)
        job = _job_of(answer)
        if job is None:
            raise Unknown(f"{answer.words}: no job in the answer", advice=_AGAIN)
        try:
            self._follow(job)
        except Unknown:
            self._unfinished.append(job)
            raise

    def read(self, path: str) -> list[str] | None:
        """Return what a job that reads printed; None if there is no such object.

        Raises Unavailable.
        """
        answer = self.gui.read(path)
        job = _job_of(answer)
        if not answer.fine or job is None:
            raise Unavailable(f"{answer.words}: no job in the answer")
        try:
            return self._follow(job)
        except Permanent as fault:
            if any(text in fault.message for text in ("EFSSG0264C", "does not exist")):
                return None
            raise Unavailable(fault.message) from fault
        except (Unknown, Transient) as fault:
            raise Unavailable(fault.message) from fault

    def _follow(self, job: _Job) -> list[str]:
        """Return what a job printed, once it has ended well."""
        end, pause, trouble = self.clock() + self.patience, self.first, "it is still running"
        while (left := end - self.clock()) > 0:
            self.wait(min(pause, left))
            pause = min(2 * pause, MOST)
            try:
                answer = self.gui.ask(job.node, job.path)
            except Unavailable as fault:
                trouble = fault.message
                continue
            state = _state(answer)
            if not answer.fine or state is None:
                raise Unknown(
                    f"{job}: the GUI does not know it any more: {answer.words}", advice=_AGAIN
                )
            if state.get("status") in _ENDS:
                return _ended(job, state)
            trouble = f"it is still running{_said(state)}"
        raise Unknown(f"{job}: no end in {self.patience:g} s: {trouble}", advice=_AGAIN)

    def _settle(self) -> None:
        """Raise Unavailable while a job of an earlier write may still run."""
        for job in tuple(self._unfinished):
            try:
                answer = self.gui.ask(job.node, job.path)
            except Unavailable:
                # Its node is away, and with it the job: what is read decides.
                self._unfinished.remove(job)
                continue
            state = _state(answer)
            if answer.fine and state is not None and state.get("status") not in _ENDS:
                raise Unavailable(
                    f"{job} is still running{_said(state)}",
                    advice=f"find out what it waits for, or cancel it: DELETE {job.node}"
                    f"/scalemgmt/v2/jobs/{job.number}; the service continues by itself",
                )
            self._unfinished.remove(job)


def _job_of(answer: Answer) -> _Job | None:
    jobs = answer.body.get("jobs")
    if not isinstance(jobs, list) or not jobs or not isinstance(jobs[0], Mapping):
        return None
    number = str(jobs[0].get("jobId", ""))
    return _Job(answer.node, number, answer.asked) if number.isdecimal() else None


def _state(answer: Answer) -> Mapping[str, Any] | None:
    jobs = answer.body.get("jobs")
    if not isinstance(jobs, list) or len(jobs) != 1 or not isinstance(jobs[0], Mapping):
        return None
    return jobs[0]


def _ended(job: _Job, state: Mapping[str, Any]) -> list[str]:
    """Return what a job printed. Raises the fault of one that ended otherwise."""
    result = state.get("result")
    result = result if isinstance(result, Mapping) else {}
    message = f"{job} {state['status']}{_said(state)}"
    if state["status"] == "COMPLETED" and str(result.get("exitCode", 0) or 0) == "0":
        return _lines(result.get("stdout"))
    if state["status"] == "CANCELLED":
        raise Transient(message)
    if state["status"] == "UNKNOWN":
        raise Unknown(message, advice=_AGAIN)
    raise refusal(message)


def _said(state: Mapping[str, Any]) -> str:
    """Return the messages of a job; of its output only the last line, which may repeat hundreds of
    times."""
    result = state.get("result")
    if not isinstance(result, Mapping):
        return ""
    lines = _lines(result.get("stderr")) or _lines(result.get("stdout"))[-1:]
    said = " ".join(" ".join(lines).split())
    return f": {said[:1000]}" if said else ""


def _lines(value: object) -> list[str]:
    return [str(line) for line in value] if isinstance(value, list) else []


def refusal(message: str) -> Fault:
    """Return the fault for a refusal.

    A lock that is held (6027-2144, 6027-1262) is worth another try.
    """
    if "is busy" in message or "Unable to obtain" in message:
        return Transient(message)
    return Permanent(message)
