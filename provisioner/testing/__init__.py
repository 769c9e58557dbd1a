"""The contract of handlers as a pytest suite, and its stand-ins."""

from provisioner.testing.handler_contract import (
    HOSTILE,
    FakeHost,
    HandlerContract,
    Ledger,
    Params,
    site,
)

__all__ = ["HOSTILE", "FakeHost", "HandlerContract", "Ledger", "Params", "site"]
