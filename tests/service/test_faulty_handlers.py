"""A handler that raises what it should not: what it was asked about waits for a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.wiring import System
from tests.support.engine_site import Accounts, Site


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
