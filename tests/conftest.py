"""What tests share, whichever directory they lie in."""

from __future__ import annotations

import fcntl
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Those run where ColdFront is installed: deploy/test makes the place, and fails where none ran.
collect_ignore = [] if importlib.util.find_spec("coldfront") else ["coldfront"]

pytest.register_assert_rewrite("provisioner.testing")

WRITERS = {
    "tests.contract.test_handler_contract_slurm",
    "tests.contract.test_slurm",
    "tests.service.test_acceptance",
}
"""Modules that write to the lab's slurmdbd: several writers lose writes, or wait for minutes."""


@pytest.fixture(scope="module", autouse=True)
def _one_writer_to_slurmdbd(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the modules that write to the lab's Slurm wait for each other."""
    if "PROVISIONER_LAB" not in os.environ or request.module.__name__ not in WRITERS:
        yield
        return
    with open(Path(os.environ["PROVISIONER_LAB"], "slurmdbd.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
