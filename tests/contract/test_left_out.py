"""What a request had set and a newer one leaves out goes back, and what others set stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from handlers.emulators.gpfs import mm
from handlers.emulators.ldap.store import Kind
from handlers.gpfs import handler as gpfs_fileset
from handlers.ldap import ad_account, ad_group, adlds_account
from provisioner.contract import Fault, Handler, State
from provisioner.convergence.converge import Outcome
from provisioner.system.process import run
from provisioner.testing.fakes import Interrupted, Ledger, Params, site, watched
from tests.support.ad_backends import Backend, backends, make

SID = "S-1-5-21-1004336348-1177238915-682003330-1106"


@dataclass(frozen=True)
class Place:
    """A handler with its backend.

    less: parameters that leave out what `more` says; set_by_hand: sets by hand what only `more`
    speaks of.
    """

    handler: Handler
    less: Params
    more: Params
    set_by_hand: Callable[[], None]

    def converge(self, ledger: Ledger, params: Params) -> Outcome:
        [outcome] = ledger.claim(self.handler, params).run(self.handler).values()
        assert outcome.fault is None, outcome.fault
        return outcome

    @property
    def state(self) -> State:
        [state] = self.handler.observe(list(self.handler.claims(self.less))).values()
        assert not isinstance(state, Fault)
        return state


def active_directory(backend: Backend) -> Place:
    settings: dict[str, Any] = {"mode": "manage", "domain": backend.domain}
    handler = ad_account.build(
        backend.site("test"),
        backend.settings(**settings, ids=backend.ids(), attributes=["department"]),
    )
    less = {"name": backend.name("jdoe"), "full_name": "J. Doe"}
    more = {"mail": "j@campus.test", "given_name": "J.", "attributes": {"department": "Physics"}}
    return Place(handler, less, {**less, **more}, by_hand(backend, handler, less, "mail"))


def lightweight(object_class: str) -> Callable[[Backend], Place]:
    def built(backend: Backend) -> Place:
        own: dict[str, Any] = {"object_class": object_class, "ids": backend.ids()}
        if backend.kind == "rfc2307":
            own = {"profile": "rfc2307", "ids": backend.ids()}
        handler = adlds_account.build(backend.site("test"), backend.settings(**own))
        less = {"name": backend.name("jdoe"), "sid": SID}
        more = {**less, "mail": "j@campus.test", "surname": "Doe"}
        return Place(handler, less, more, by_hand(backend, handler, less, "mail"))

    return built


def groups(backend: Backend) -> Place:
    own = {"profile": backend.kind, "ids": backend.ids()}
    handler = ad_group.build(backend.site("test"), backend.settings("groups", **own))
    less = {"group": backend.name("cf3")}
    more = {**less, "description": "Protein folding"}
    if backend.kind == "ad":
        return Place(handler, less, more, by_hand(backend, handler, less, "description"))

    def describe() -> None:  # the mark stands beside it
        [state] = handler.observe(list(handler.claims(less))).values()
        assert not isinstance(state, Fault)
        texts = [text for text in (state["description"],) if text]
        changes: Any = [("delete", "description", texts)] if texts else []
        added = [*changes, ("add", "description", ["by hand"])]
        backend.directory().modify(str(state["dn"]), added)

    return Place(handler, less, more, describe)


def by_hand(
    backend: Backend, handler: Handler, params: Params, attribute: str
) -> Callable[[], None]:
    def write() -> None:
        [state] = handler.observe(list(handler.claims(params))).values()
        assert not isinstance(state, Fault)
        backend.directory().modify(str(state["dn"]), [("replace", attribute, ["by@hand.test"])])

    return write


DIRECTORIES: Mapping[str, tuple[Kind, Callable[[Backend], Place]]] = {
    "ad account": ("ad", active_directory),
    "ad group": ("ad", groups),
    "lds account": ("adlds", lightweight("user")),
    "lds proxy": ("adlds", lightweight("userProxyFull")),
    "lds group": ("adlds", groups),
    "rfc2307 account": ("rfc2307", lightweight("")),
    "rfc2307 group": ("rfc2307", groups),
}


def filesets(directory: Path) -> Place:
    bin = mm.install(directory)
    built = {"filesystem": "fs1", "mm_path": str(bin), "tools": str(bin)}
    less = {"fileset": "cf3", "inode_limit": 40960}
    more = {**less, "quota": "5TiB", "files": 20480}

    def write() -> None:
        limits = ["fs1:cf3", "--block", "1G:2G", "--files", "20000:20470"]
        assert not run([str(bin / "mmsetquota"), *limits]).returncode

    return Place(gpfs_fileset.build(site(), built), less, more, write)


def places() -> list[Any]:
    found: list[Any] = [pytest.param((None, filesets), id="fileset")]
    for name, (kind, built) in DIRECTORIES.items():
        found += [
            pytest.param((one.values[0], built), id=f"{name} {one.id}", marks=one.marks)
            for one in backends(kind)
        ]
    return found


@pytest.fixture(params=places())
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    which, built = request.param
    if which is None:
        yield built(tmp_path)
    else:
        for backend in make(which, tmp_path):
            yield built(backend)


def test_what_was_set_when_it_was_made_goes_to_none(place: Place) -> None:
    fresh = Ledger()
    place.converge(fresh, place.more)
    full = place.state
    outcome = place.converge(fresh, place.less)
    assert outcome.changed
    assert place.state != full
    assert "nobody asks" in " ".join(outcome.changed)
    assert place.converge(fresh, place.less).changed == ()
    place.converge(fresh, place.more)
    assert place.state == full


def test_what_was_there_before_comes_back(place: Place) -> None:
    ledger = Ledger()
    place.converge(ledger, place.less)
    place.set_by_hand()
    before = place.state
    place.converge(ledger, place.more)
    assert place.state != before
    place.converge(ledger, place.less)
    assert place.state == before
    assert place.converge(ledger, place.less).changed == ()


@pytest.mark.parametrize("again", [False, True], ids=["at once", "after a second claim"])
def test_what_was_there_before_comes_back_also_where_nobody_claimed_it_in_between(
    place: Place, again: bool
) -> None:
    ledger = Ledger()
    place.converge(ledger, place.less)
    place.set_by_hand()
    before = place.state
    place.converge(ledger, place.more)
    ledger.withdraw()
    ledger.run(place.handler)
    if again:
        place.converge(ledger, place.more)
        assert place.state != before
    place.converge(ledger, place.less)
    assert place.state == before


def test_what_somebody_set_while_nobody_claimed_it_is_what_comes_back(place: Place) -> None:
    ledger = Ledger()
    place.converge(ledger, place.more)
    ledger.withdraw()
    ledger.run(place.handler)
    place.set_by_hand()
    ledger.run(place.handler)
    place.converge(ledger, place.less)
    before = place.state
    ledger.withdraw()
    ledger.run(place.handler)
    place.converge(ledger, place.more)
    place.converge(ledger, place.less)
    assert place.state == before


def test_what_somebody_set_since_stays(place: Place) -> None:
    ledger = Ledger()
    place.converge(ledger, place.more)
    place.set_by_hand()
    by_hand = place.state
    written = " ".join(place.converge(ledger, place.less).changed)
    for name in ("mail", "description", "quota", "files"):
        if by_hand.get(name):
            assert (place.state[name], name in written) == (by_hand[name], False)


def test_what_nobody_ever_asked_for_stays(place: Place) -> None:
    ledger = Ledger()
    place.converge(ledger, place.less)
    place.set_by_hand()
    assert place.converge(ledger, place.less).changed == ()


def test_a_kill_at_any_write_loses_nothing_of_what_was_there(place: Place) -> None:
    ledger = Ledger()
    place.converge(ledger, place.less)
    place.set_by_hand()
    before = place.state

    def die(_: object) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        ledger.claim(place.handler, place.more).run(watched(place.handler, die))
    place.converge(ledger, place.more)
    with pytest.raises(Interrupted):
        ledger.claim(place.handler, place.less).run(watched(place.handler, die))
    place.converge(ledger, place.less)
    assert place.state == before
