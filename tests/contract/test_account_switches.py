"""Accounts are open while a claim says so and closed otherwise, whoever did what in between.

Over every kind of account, emulated and in the lab.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_account, adlds_account
from handlers.ldap.accounts.beside import FLAG
from provisioner.contract import Handler, Key
from provisioner.convergence.converge import dry_run
from provisioner.testing import Ledger
from tests.support.ad_backends import Backend, backends, make

SID = "S-1-5-21-1004336348-1177238915-682003330-1106"

KINDS: dict[str, tuple[str, dict[str, Any], tuple[str, str]]] = {
    "ad": ("ad", {"mode": "manage", "domain": "campus.test"}, ("userAccountControl", "514")),
    "user": ("adlds", {"object_class": "user"}, (FLAG, "TRUE")),
    "userProxy": ("adlds", {}, ("loginShell", "/sbin/nologin")),
    "rfc2307": ("rfc2307", {"profile": "rfc2307"}, ("loginShell", "/sbin/nologin")),
}
"""Directory and settings of a kind of account, and what somebody disables one with."""


@dataclass
class Account:
    """One account that was made, and the ledger that speaks of it."""

    handler: Handler
    params: dict[str, Any]
    key: Key
    ledger: Ledger
    disable: Callable[[], None]

    @property
    def enabled(self) -> object:
        """Converge; say whether the account is enabled then."""
        (outcome,) = self.ledger.run(self.handler).values()
        assert outcome.fault is None
        assert outcome.state is not None
        return outcome.state["enabled"]

    @property
    def plan(self) -> list[str]:
        """Say what is planned for it."""
        ((_, changes, _),) = dry_run(self.handler, self.ledger.items)
        return [change.text for change in changes]

    def claim(self) -> Ledger:
        """Claim it again."""
        return self.ledger.claim(self.handler, self.params)


@pytest.fixture(
    params=[
        pytest.param((kind, where), id=f"{kind}-{where.id}", marks=where.marks)
        for kind, (directory, _, _) in KINDS.items()
        for where in backends(directory)  # type: ignore[arg-type]
    ]
)
def account(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Account]:
    kind, where = request.param
    _, settings, (attribute, value) = KINDS[kind]
    for backend in make(where.values[0], tmp_path):
        yield made(kind, backend, settings, attribute, value)


def made(
    kind: str, backend: Backend, settings: dict[str, Any], attribute: str, value: str
) -> Account:
    module = ad_account if kind == "ad" else adlds_account
    handler = module.build(backend.site("x"), backend.settings(ids=backend.ids(), **settings))
    params = {"name": backend.name("jdoe")} | ({} if kind == "ad" else {"sid": SID})
    ledger = Ledger().claim(handler, params)
    ((key, outcome),) = ledger.run(handler).items()
    assert outcome.state is not None
    dn = str(outcome.state["dn"])

    def disable() -> None:
        backend.directory().modify(dn, [("replace", attribute, [value])])

    return Account(handler, params, key, ledger, disable)


BY_HAND = "enable the account: it was disabled by hand; to keep it closed, suspend it"


def test_a_withdrawn_account_that_is_claimed_again_while_suspended_is_enabled_by_the_resume(
    account: Account,
) -> None:
    account.ledger.withdraw()
    assert account.enabled is False
    account.claim().suspend()
    assert account.enabled is False
    account.ledger.suspend(False)
    assert account.plan[-1] == "enable the account"
    assert account.enabled is True


def test_an_account_whose_closing_nobody_remembers_is_enabled_all_the_same(
    account: Account,
) -> None:
    account.ledger.withdraw()
    assert account.enabled is False
    account.ledger.priors.clear()
    account.claim().suspend()
    assert account.enabled is False
    account.ledger.suspend(False)
    assert account.enabled is True


def test_an_account_that_was_disabled_by_hand_is_enabled_and_the_plan_says_so(
    account: Account,
) -> None:
    account.disable()
    assert account.plan[-1] == BY_HAND
    assert account.enabled is True
    assert account.plan == []


def test_an_account_that_was_disabled_by_hand_before_a_suspension_opens_with_the_resume(
    account: Account,
) -> None:
    account.disable()
    account.ledger.suspend()
    assert account.plan == []
    assert account.enabled is False
    account.ledger.suspend(False)
    assert account.plan[-1] == BY_HAND
    assert account.enabled is True
