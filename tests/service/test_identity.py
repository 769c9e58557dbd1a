"""Numbers of people and groups where the directory has none: the host says what resolves."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_site import Desk, storage, user
from tests.support.mapped_ids import MAPPED, Mapping


@pytest.fixture
def desk(tmp_path: Path) -> Mapping:
    return Mapping(tmp_path / "box")


def test_a_home_gets_the_numbers_that_resolve_where_the_directory_has_none(desk: Mapping) -> None:
    desk.account("jdoe")
    desk.resolve("jdoe", *MAPPED)
    assert desk.show(desk.serve(user("jdoe")))["state"] == "done"
    home = desk.home("jdoe")
    assert (home["uid"], home["gid"]) == MAPPED


def test_it_waits_as_long_as_nothing_resolves(desk: Mapping) -> None:
    desk.account("jdoe")
    desk("submit", "-", stdin=user("jdoe").encode())
    desk("run", "--drain", "--patience", "1", code=None)
    assert desk("queue", "--ended", "1", "--json").json["ended"] == []
    desk.resolve("jdoe", *MAPPED)
    desk("retry", "user:jdoe", code=None)
    desk.drain()
    assert desk.home("jdoe")["uid"] == MAPPED[0]


def test_what_the_directory_says_comes_first(desk: Mapping) -> None:
    desk.account("jdoe", uidNumber=20_001, gidNumber=100)
    desk.resolve("jdoe", 20_001, 4711)
    assert desk.show(desk.serve(user("jdoe")))["state"] == "done"
    home = desk.home("jdoe")
    assert (home["uid"], home["gid"]) == (20_001, 100)


def test_where_nothing_gives_a_number_the_error_says_who_could_and_no_line_of_the_request(
    tmp_path: Path,
) -> None:
    desk = Mapping(tmp_path / "box", with_gate=False)
    desk.account("jdoe")
    shown = desk.show(desk.serve(user("jdoe")))
    assert shown["state"] == "failed"
    [error] = [one["error"] for one in shown["result"]["steps"] if one.get("error")]
    assert "no step of this site (account, lds, resolves) gave one" in error["message"]
    assert "line" not in error["message"]


def test_a_number_that_may_not_own_a_home_names_the_setting_and_who_gave_it(desk: Mapping) -> None:
    desk.account("jdoe")
    desk.resolve("jdoe", MAPPED[0], 37)
    shown = desk.show(desk.serve(user("jdoe")))
    [error] = [one["error"] for one in shown["result"]["steps"] if one.get("error")]
    assert "gid 37 may not own a home; it is the output of step resolves" in error["message"]
    assert "`min_gid` and `max_id` of homes" in error["message"]
    assert "line" not in error["message"]


class MappedGroups(Desk):
    """A sandbox whose directory gives groups no numbers; the host maps one, where it is asked."""

    def __init__(self, root: Path, settings: str) -> None:
        super().__init__(root)
        ids = 'ids: {from: 30000, to: 39999, container: "OU=ids,DC=campus,DC=test"}'
        self.set(ids, "ids: {from: 30000, to: 2000000000}")
        self.set("{handlers: [fs1]}", f"{{handlers: [fs1]{settings}}}")
        program = root / "bin" / "mapped"
        program.write_text(f"#!/bin/sh\necho cf1:x:{MAPPED[1]}:\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.set(f'["{root}/bin/getent", group]', f'["{program}"]')
        self.serve(user("jdoe"))

    def fileset(self) -> Any:
        """Return what was read of the project's fileset."""
        status = self("status", "project:CF1", "--json", code=None).json
        [state] = [one["state"] for one in status if one["object"] == "fs1/fileset/cf1"]
        return state


def test_a_fileset_gets_the_number_that_its_group_resolves_to_where_the_directory_has_none(
    tmp_path: Path,
) -> None:
    desk = MappedGroups(tmp_path / "box", ", settings: {groups_resolve: true}")
    assert desk.show(desk.serve(storage()))["state"] == "done"
    assert desk.fileset()["gid"] == MAPPED[1]


def test_a_group_without_a_number_leaves_no_fileset_to_root(tmp_path: Path) -> None:
    desk = MappedGroups(tmp_path / "box", "")
    shown = desk.show(desk.serve(storage()))
    assert shown["state"] == "failed"
    [error] = [one["error"] for one in shown["result"]["steps"] if one.get("error")]
    assert "the group cf1 has no gid, so the fileset would stay root's" in error["message"]
    assert "`settings: {groups_resolve: true}` of the resource" in error["message"]
    assert desk.fileset()["present"] is False
