"""What tests share, whichever directory they lie in."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# Those run where ColdFront is installed: deploy/test makes the place, and fails where none ran.
collect_ignore = [] if importlib.util.find_spec("coldfront") else ["coldfront"]

pytest.register_assert_rewrite("provisioner.testing")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has its background ignore it; what tests start is told to end as from a terminal.
    signal.signal(signal.SIGINT, signal.default_int_handler)

WRITERS = {
    "tests.contract.test_handler_contract_slurm",
    "tests.contract.test_slurm",
    "tests.service.test_acceptance",
}
"""Modules that write to the lab's slurmdbd: several writers lose writes, or wait for minutes."""


OWN_TO_A_PROCESS = re.compile(r"set\(\{|<.* at 0x")
"""What differs from process to process: the order of a set's text, and an address."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse names by which two processes that share the tests would not know the same test."""
    for item in items:
        if OWN_TO_A_PROCESS.search(item.nodeid):
            raise pytest.UsageError(f"not the same name in every process: {item.nodeid}; give ids=")


@pytest.fixture(scope="module", autouse=True)
def _one_writer_to_slurmdbd(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the modules that write to the lab's Slurm wait for each other."""
    if "PROVISIONER_LAB" not in os.environ or request.module.__name__ not in WRITERS:
        yield
        return
    with open(Path(os.environ["PROVISIONER_LAB"], "slurmdbd.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
