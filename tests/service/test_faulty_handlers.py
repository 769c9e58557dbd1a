"""A handler that raises what it should not: what it was asked about waits for a person."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.contract import DEEPEST, Fault, Key, State
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


class Deep(Accounts):
    """One that says of bob's account more than a result can show."""

    def observe(self, keys: Collection[Key]) -> Mapping[Key, State | Fault]:
        tree: list[Any] = []
        for _ in range(DEEPEST):
            tree = [tree]
        deep: State = {"present": True, "limit": "5", "tree": tree}
        return {**super().observe(keys), **dict.fromkeys({"first/account/bob"} & {*keys}, deep)}


def test_a_state_that_nests_too_deeply_is_its_own_objects_fault(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.system = first_is(site, Deep)
    site.service = Service(site.system, site.spool)
    site.service.recover()
    for name in ("bob", "ann"):
        site.drop(user(name, uid=7), f"{name}.yaml")
    site.drain()
    assert site.states() == {"done": ["ann.yaml"], "failed": ["bob.yaml"]}
    [result] = site.results("failed")
    assert "deeper than 32 levels" in result["steps"][0]["error"]["message"]
