"""A handler that raises what it should not: what it was asked about waits for a person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.contract import Change, Fault, Key, Permanent, State, Want
from provisioner.convergence.calls.questions import DEEPEST, LARGEST
from provisioner.service import Service
from provisioner.wiring import System
from tests.support.engine_site import Accounts, Site, user


def first_is(site: Site, kind: type[Accounts]) -> System:
    """Give a site's system with another handler for the first backend."""
    handlers = {**site.system.handlers, "first": kind("first", site.first)}
    return replace(site.system, handlers=handlers)


class Stumbling(Accounts):
    """One that cannot say whether data lie in its objects."""

    def stores(self, key: str) -> bool:
        raise ZeroDivisionError(key)


def test_where_a_handler_cannot_say_whether_data_lie_in_an_object_they_may(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    system = first_is(Site(tmp_path), Stumbling)
    assert system.nature.stores("first/account/jdoe")
    assert not system.nature.stores("second/account/jdoe")
    assert "first/account/jdoe: the handler cannot tell if it holds data" in caplog.text


class Unsure(Accounts):
    """One that cannot say whether its objects shut people out."""

    def shuts(self, key: str, before: object, after: object) -> bool:
        raise ZeroDivisionError(key)


def test_where_a_handler_cannot_say_whether_an_object_shuts_people_out_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    system = first_is(Site(tmp_path), Unsure)
    assert system.nature.shuts("first/account/jdoe", (), ())
    assert "first/account/jdoe: the handler cannot tell if it shuts people out" in caplog.text


BOB = "first/account/bob"
"""The account of which the following say more than a result can show."""


class Deep(Accounts):
    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        tree: list[Any] = []
        for _ in range(DEEPEST):
            tree = [tree]
        deep: State = {"present": True, "limit": "5", "tree": tree}
        return {**super().observe(keys), **dict.fromkeys({BOB} & {*keys}, deep)}


class Large(Accounts):
    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        large: State = {"present": True, "limit": "5", "list": ["x"] * LARGEST}
        return {**super().observe(keys), **dict.fromkeys({BOB} & {*keys}, large)}


class Wordy(Accounts):
    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        said = Permanent("x" * (5 << 20), advice="y" * (5 << 20))
        return {**super().observe(keys), **dict.fromkeys({BOB} & {*keys}, said)}


class Busy(Accounts):
    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        planned = super().plan(key, want, state)
        return [*planned] * 100_000 if key == BOB else planned


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Deep, "what the backend says of it nests deeper than 32 levels"),
        (Large, "what the backend says of it is larger than 1,000,000 characters"),
        (Wordy, "(5,238,880 more characters)"),
        (Busy, "a plan of 100,000 changes is a mistake"),
    ],
)
def test_what_no_result_can_show_is_its_own_objects_fault(
    tmp_path: Path, kind: type[Accounts], said: str
) -> None:
    site = Site(tmp_path)
    site.system = first_is(site, kind)
    site.service = Service(site.system, site.spool)
    site.service.recover()
    for name in ("bob", "ann"):
        site.drop(user(name, uid=7), f"{name}.yaml")
    site.drain()
    assert site.states() == {"done": ["ann.yaml"], "failed": ["bob.yaml"]}
    [result] = site.results("failed")
    assert said in result["steps"][0]["error"]["message"]


class Chatty(Accounts):
    """One whose changes are long texts."""

    def plan(self, key: Key, want: Want, state: State) -> Sequence[Change]:
        return [replace(one, text="x" * (5 << 20)) for one in super().plan(key, want, state)]


def test_the_text_of_a_change_is_cut(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.system = first_is(site, Chatty)
    site.service = Service(site.system, site.spool)
    site.service.recover()
    site.request(user("bob", uid=7))
    [result] = site.results("done")
    assert result["steps"][0]["changed"][0].endswith("x... (5,238,880 more characters)")
