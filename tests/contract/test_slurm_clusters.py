"""Two clusters of one slurmdbd: what is the slurmdbd's is not set back and forth by theirs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from handlers.slurm.handler import Slurm
from provisioner.contract import Claim, Scalar
from provisioner.convergence.converge import converge
from provisioner.objects.items import Item
from tests.support import slurm_sites
from tests.support.slurm_sites import Cluster


@dataclass
class Asking:
    """One cluster, one account on it, and what the ledger keeps of that."""

    cluster: Cluster
    account: str
    title: str = ""
    known: Mapping[str, Scalar] | None = None

    def handler(self) -> Slurm:
        return self.cluster.handler()

    def wants(self, title: str) -> tuple[str, ...]:
        """Ask for the account with a title; return what was written."""
        self.title = title
        return self.reconcile()

    def reconcile(self) -> tuple[str, ...]:
        handler = self.handler()
        asked = {"account": self.account, "description": self.title}
        [(key, want)] = handler.claims(asked).items()
        item = Item(key, (Claim("allocation:1", want),), identity=self.known)
        [outcome] = converge(handler, [item], lambda _: None)
        assert outcome.fault is None
        self.known = outcome.identity or self.known
        return outcome.changed

    @property
    def description(self) -> object:
        handler = self.handler()
        [(key, _)] = handler.claims({"account": self.account}).items()
        state = handler.observe([key])[key]
        assert isinstance(state, Mapping)
        return state["description"]


@pytest.fixture(params=slurm_sites.BOTH)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Asking, Asking]]:
    """Give two clusters of one slurmdbd, without the account."""
    if request.param == "emulated":
        first = slurm_sites.emulated(tmp_path)
        second = replace(first, settings={**first.settings, "cluster": "b"})
        yield Asking(first, "cf1"), Asking(second, "cf1")
        return
    first, name = slurm_sites.real(), "t" + uuid.uuid4().hex[:10]
    first.admin(["add", "cluster", name])
    try:
        yield (
            Asking(first, name),
            Asking(replace(first, settings={**first.settings, "cluster": name}), name),
        )
    finally:
        first.admin(["delete", "account", "where", f"name={name},{name}above"])
        first.admin(["delete", "cluster", "where", f"name={name}"])


def test_a_reconcile_of_two_titles_finds_nothing_to_do(pair: tuple[Asking, Asking]) -> None:
    one, two = pair
    one.wants("title one")
    two.wants("title two")
    assert (one.reconcile(), two.reconcile()) == ((), ())
    assert (one.reconcile(), two.reconcile()) == ((), ())


def test_who_asks_for_another_title_last_sets_it_and_is_told_for_whom(
    pair: tuple[Asking, Asking],
) -> None:
    one, two = pair
    one.wants("title one")
    two.wants("title two")
    assert one.description == "title two"
    [told] = one.wants("title three")
    assert "on all clusters of this slurmdbd; it was description 'title two'" in told
    assert two.reconcile() == ()
    assert two.description == "title three"


def test_the_title_of_an_account_on_one_cluster_is_set_back(pair: tuple[Asking, Asking]) -> None:
    one, _ = pair
    one.wants("title one")
    where = ["where", f"name={one.account}", f"cluster={one.cluster.settings['cluster']}"]
    one.cluster.admin(["modify", "account", *where, "set", "description=by hand"])
    assert one.reconcile()
    assert one.description == "title one"


def test_what_was_asked_for_while_it_was_closed_is_set_when_it_opens(
    pair: tuple[Asking, Asking],
) -> None:
    one, two = pair
    one.wants("title one")
    two.wants("title two")
    handler = one.handler()
    [(key, want)] = handler.claims({"account": one.account, "description": "new"}).items()
    closed = Item(key, (Claim("allocation:1", want, True),), identity=one.known)
    [outcome] = converge(handler, [closed], lambda _: None)
    assert outcome.identity is None
    assert one.wants("new")
    assert one.description == "new"


def test_an_account_without_a_title_that_was_moved_comes_back_below_its_parent(
    pair: tuple[Asking, Asking],
) -> None:
    one, two = pair
    assert (one.wants(""), two.wants("")) != ((), ())
    cluster, above = f"cluster={one.cluster.settings['cluster']}", f"{one.account}above"
    one.cluster.admin(["add", "account", above, cluster])
    moved = ["modify", "account", "where", f"name={one.account}", cluster]
    one.cluster.admin([*moved, "set", f"parent={above}"])
    assert "parent=root" in " ".join(one.reconcile())
    assert two.reconcile() == ()
