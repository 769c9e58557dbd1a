"""A NUL, which a file can have in a text and PostgreSQL cannot: the user sees the same on both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from provisioner.contract import Permanent, Unavailable
from provisioner.journal.records import object_rows
from provisioner.journal.schema import objects
from tests.support import databases
from tests.support.engine_site import CONFIG, Accounts, Site, allocation

REQUEST = """\
provisioner: 1
action: allocation.provision
id: one
order: {key: sort, number: 7}
reason: because
on_behalf_of: bea
allocation:
  id: 1
  resource: one
  project: {code: cf, title: a title, pi: ann}
  users: [ann]
  quota: {files: 5}
"""

REMARKED = {"because", "a title"}
"""Texts for people, of which it is left out; all else is refused."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.lab)])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    if request.param == "sqlite":
        return Site(tmp_path)
    address = databases.cluster().make()
    return Site(tmp_path, text=CONFIG.replace("journal: journal.db", f"journal: {address}"))


@pytest.mark.parametrize(
    "text",
    ["allocation.provision", "sort", "because", "bea", "cf", "a title", "ann", "resource", "5"],
)
def test_a_request_is_refused_or_told_what_was_left_out(site: Site, text: str) -> None:
    site.request(REQUEST.replace(text, f'"{text[0]}\\0{text[1:]}"'))
    [said] = site.results("done" if text in REMARKED else "failed")
    assert said["outcome"] == ("done" if text in REMARKED else "refused")
    assert said["problems"]


@pytest.mark.parametrize("made", [Permanent, Unavailable, RuntimeError])
@pytest.mark.parametrize("call", ["observe", "plan", "apply"])
def test_what_a_backend_says_is_kept_with_a_sign_in_its_place(
    site: Site, monkeypatch: pytest.MonkeyPatch, call: str, made: Callable[[str], Exception]
) -> None:
    def fails(*_: Any) -> Any:
        raise made("it said \0 and more")

    monkeypatch.setattr(Accounts, call, fails)
    site.request(allocation(1, "ann"))
    with site.system.journal.reading() as conn:
        said = [row["breaker_reason"] for row in object_rows.lane_rows(conn).values()]
        said += [error.message for error in conn.scalars(select(objects.c.error)) if error]
    assert any("it said \N{SYMBOL FOR NULL} and more" in text for text in said if text)
