"""What tests share, whichever directory they lie in."""

from __future__ import annotations

import fcntl
import importlib.metadata
import os
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import databases

# No test is about time: on a busy machine any example may take longer than Hypothesis allows.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# Those run where that version of ColdFront is installed: deploy/test makes the place for the first,
# and fails where none ran; of the second it says in its tally where none ran.
# A package of its own is tried where it is installed: tests/contract/test_own_package.py.
collect_ignore = ["support/licence_seats"]

try:
    COLDFRONT = importlib.metadata.version("coldfront").partition(".")[0]
except importlib.metadata.PackageNotFoundError:
    COLDFRONT = ""
collect_ignore += [
    folder for first, folder in (("1", "coldfront"), ("2", "coldfront2")) if first != COLDFRONT
]

pytest.register_assert_rewrite("provisioner.testing")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has its background ignore it; what tests start is told to end as from a terminal.
    signal.signal(signal.SIGINT, signal.default_int_handler)

WHOLE = {"tests.contract.test_handler_contract_slurm", "tests.service.test_acceptance"}
"""Modules whose tests together are one writer to the lab's slurmdbd."""


OWN_TO_A_PROCESS = re.compile(r"set\(\{|<.* at 0x")
"""What differs from process to process: the order of a set's text, and an address."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names by which two processes that share the tests would not know the same test."""
    for item in items:
        if OWN_TO_A_PROCESS.search(item.nodeid):
            raise pytest.UsageError(f"not the same name in every process: {item.nodeid}; give ids=")
    if databases.ON != "sqlite":
        items[:] = [item for item in items if not item.get_closest_marker("sqlite")]
    if "PROVISIONER_LAB" in os.environ:
        items[:] = spread(items)


def spread(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Order the files of tests so that those which wait for the lab's Slurm lie between others.

    Only one of these runs at a time: side by side they would keep all processes waiting. Else the
    longest files come first.
    """
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    placed: list[tuple[float, list[pytest.Item]]] = []
    for waits in (True, False):
        some = [file for file in files.values() if _waits(file) == waits]
        total, before = sum(map(_weight, some)), 0.0
        for file in sorted(some, key=_weight, reverse=True):
            placed.append((before / total, file))
            before += _weight(file)
    return [item for _, file in sorted(placed, key=lambda pair: pair[0]) for item in file]


def _weight(file: Sequence[pytest.Item]) -> float:
    """Return about how many seconds a file takes."""
    return len(file) * (0.05 if file[0].nodeid.startswith("tests/unit/") else 1.0)


def _waits(file: Sequence[pytest.Item]) -> bool:
    """Return True if a file has tests that are one writer to the lab's Slurm."""
    module = getattr(file[0], "module", None)
    knows = getattr(module, "slurm_sites", None) is not None
    knows = knows or getattr(module, "__name__", "") in WHOLE
    return knows and any(item.get_closest_marker("lab") for item in file)


@contextmanager
def one_writer_to_slurmdbd() -> Iterator[None]:
    """Wait for the others that write to the lab's Slurm.

    Of several writers at once slurmdbd 22.05.8 loses writes, lets some wait for minutes, and once
    ended.
    """
    with open(Path(os.environ["PROVISIONER_LAB"], "slurmdbd.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module", autouse=True)
def _one_module(request: pytest.FixtureRequest) -> Iterator[None]:
    alone = "PROVISIONER_LAB" in os.environ and request.module.__name__ in WHOLE
    with one_writer_to_slurmdbd() if alone else nullcontext():
        yield


@pytest.fixture(autouse=True)
def _one_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold for a test of the lab, in any module that knows where its Slurm is."""
    knows = getattr(request.module, "slurm_sites", None) is not None
    in_lab = request.node.get_closest_marker("lab") is not None and "PROVISIONER_LAB" in os.environ
    alone = in_lab and knows and request.module.__name__ not in WHOLE
    with one_writer_to_slurmdbd() if alone else nullcontext():
        yield
