"""The contract of handlers as a pytest suite, and what it runs them with."""

from provisioner.testing.handler_contract import (
    HOSTILE,
    FakeHost,
    HandlerContract,
    Ledger,
    Params,
    site,
)

__all__ = ["HOSTILE", "FakeHost", "HandlerContract", "Ledger", "Params", "site"]
