"""Texts that people type, in every backend that keeps one: what the format takes, each takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from handlers.ldap import ad_account, ad_group
from handlers.slurm.handler import build as build_slurm
from provisioner.contract import Claim, Handler, State
from provisioner.contract.abilities import Adapts
from provisioner.contract.texts import phrase
from provisioner.convergence.converge import converge
from provisioner.objects.items import Item
from tests.support import ad_backends, slurm_sites
from tests.support.ad_backends import Backend
from tests.support.slurm_sites import Cluster

TITLES = {
    "soft hyphen": ("Pro\u00adteins", "Proteins"),
    "zero-width space": ("zero\u200bwidth", "zerowidth"),
    "mark of direction": ("\u200eleft", "left"),
    "byte order mark": ("\ufeffbom", "bom"),
    "Word's bullet": ("\uf0b7 bullet", "bullet"),
    "joined emoji": ("\U0001f468\u200d\U0001f469", "\U0001f468\U0001f469"),
    "control characters": ("a\x1b[2J\tb\nc", "a [2J b c"),
    "blanks of all kinds": ("  a\u00a0 \u2028b  ", "a b"),
    "Hebrew and quotes": ('\u05e9\u05dc\u05d5\u05dd "x" y\'s', '\u05e9\u05dc\u05d5\u05dd "x" y\'s'),
    "what would end a filter": ("a)(cn=*", "a)(cn=*"),
    "what would end a DN": ("x,OU=y+z=w\\", "x,OU=y+z=w\\"),
    "what would be an option": ("-i --immediate", "-i --immediate"),
    "what a shell would run": ("$(id) `id` ; id", "$(id) `id` ; id"),
    "an equals sign first": ("=x", "=x"),
    "a bar": ("a|b", "a|b"),
    "as long as the format": ("\u00e4" * 500, "\u00e4" * 500),
}


def settle(handler: Handler, params: Mapping[str, Any]) -> State:
    """Converge what parameters speak of, twice; the second time nothing is written."""
    [item] = [Item(k, (Claim("project:x", w),)) for k, w in handler.claims(params).items()]
    for changed in (True, False):
        [done] = converge(handler, [item], lambda _: None)
        assert done.fault is None, done.fault
        assert bool(done.changed) is changed
    assert done.state is not None
    return done.state


@pytest.fixture(
    params=[*ad_backends.backends("ad"), *ad_backends.backends("adlds"),
            *ad_backends.backends("rfc2307")]
)  # fmt: skip
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from ad_backends.make(request.param, tmp_path)


@pytest.fixture(params=ad_backends.backends("ad"))
def active(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    yield from ad_backends.make(request.param, tmp_path)


def groups(directory: Backend) -> Handler:
    given: dict[str, Any] = {"profile": directory.kind, "ids": directory.ids()}
    return ad_group.build(directory.site("g"), directory.settings("groups", **given))


def test_a_group_bears_any_title(directory: Backend) -> None:
    handler = groups(directory)
    for number, (title, kept) in enumerate(TITLES.values()):
        name = directory.name(f"g{number}")
        assert settle(handler, {"group": name, "description": title})["description"] == kept


def test_a_title_that_reads_as_a_mark_is_no_mark(directory: Backend) -> None:
    handler, name = groups(directory), directory.name("cf3")
    forged = {"group": name, "description": f"other:g/group/{name}"}
    assert settle(handler, forged)["description"] == f'"other:g/group/{name}"'
    assert isinstance(handler, Adapts)
    assert "reads as a provisioner's mark" in handler.adapted(forged)["description"]


def test_a_description_that_was_made_by_hand_with_such_characters_is_set_right(
    active: Backend,
) -> None:
    handler, name = groups(active), active.name("cf3")
    dn = str(settle(handler, {"group": name, "description": "Proteins"})["dn"])
    active.directory().modify(dn, [("replace", "description", ["Pro\u00adteins\u200b"])])
    settle(handler, {"group": name, "description": "Proteins"})


def test_an_account_bears_any_name(active: Backend) -> None:
    given: dict[str, Any] = {"mode": "manage", "domain": "campus.test", "ids": active.ids()}
    handler = ad_account.build(active.site("ad"), active.settings(**given))
    for number, (text, kept) in enumerate(TITLES.values()):
        params = {"name": active.name(f"u{number}"), "full_name": text[:200], "surname": text}
        found = settle(handler, params)
        assert (found["full_name"], found["surname"]) == (kept[:200], phrase(kept, 64))


def test_what_a_directory_cannot_hold_of_a_name_is_cut_and_told(active: Backend) -> None:
    given: dict[str, Any] = {"mode": "manage", "domain": "campus.test", "ids": active.ids()}
    handler = ad_account.build(active.site("ad"), active.settings(**given))
    params = {
        "name": active.name("jdoe"), "full_name": "f" * 500, "given_name": "g" * 65,
        "surname": "s" * 64,
    }  # fmt: skip
    found = settle(handler, params)
    assert [len(str(found[name])) for name in ("full_name", "given_name", "surname")] == [
        256, 64, 64,
    ]  # fmt: skip
    assert isinstance(handler, Adapts)
    assert handler.adapted(params) == {
        "full_name": "shortened to 256 of 500 characters",
        "given_name": "shortened to 64 of 65 characters",
    }


@pytest.fixture(params=slurm_sites.BOTH)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    return slurm_sites.which(request.param, tmp_path)


@pytest.fixture
def prefix(cluster: Cluster) -> Iterator[str]:
    yield from slurm_sites.own_name(cluster)


def test_a_slurm_account_bears_any_title(cluster: Cluster, prefix: str) -> None:
    handler = build_slurm(slurm_sites.site(), cluster.settings)
    for number, (title, _) in enumerate(TITLES.values()):
        settle(handler, {"account": f"{prefix}{number}", "description": title})


@pytest.mark.parametrize("title", ["=x", "a|b", 'the "x"', "y's"])
def test_what_sacctmgr_takes_for_its_own_is_left_out_and_told(title: str, tmp_path: Path) -> None:
    handler = slurm_sites.emulated(tmp_path).handler()
    said = handler.adapted({"account": "cf3", "description": title})
    assert said == {"description": "without quotes, bars, and `=` at its beginning"}
