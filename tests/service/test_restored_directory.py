"""A directory that was restored from an older copy: the journal still knows the lost numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handlers.emulators.ldap.store import Store
from tests.support.cli_site import Desk, of_user, storage, user

DIRECTORIES = ("ad.json", "lds.json")

PROJECT = "provisioner: 1\naction: project.provision\nproject: {code: CF9, users: [new]}\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox whose directories lost a person, and the group of their allocation."""
    desk = Desk(tmp_path / "box")
    desk.serve(user("first"))
    before = {name: (desk.root / name).read_bytes() for name in DIRECTORIES}
    desk.serve(user("jdoe"))
    desk.serve(storage())
    restore(desk, before)
    return desk


def restore(desk: Desk, copy: dict[str, bytes]) -> None:
    """Put an older copy of the directories into their place."""
    for name, content in copy.items():
        (desk.root / name).unlink()
        (desk.root / name).write_bytes(content)


def entry(desk: Desk, name: str) -> Any:
    """Return the entry of a name in Active Directory; {} if there is none."""
    store = Store.at(desk.root / "ad.json")
    with store.reading():
        keys = store.holders("sAMAccountName", name.encode())
        return {} if not keys else store.entries[next(iter(keys))]


def number(desk: Desk, attribute: str, name: str) -> int:
    return int(entry(desk, name)[attribute][0])


def test_a_new_account_gets_no_number_of_a_lost_one(desk: Desk) -> None:
    desk.serve(user("new"))
    assert number(desk, "uidNumber", "first") == 20_000
    assert number(desk, "uidNumber", "new") == 20_002
    assert number(desk, "gidNumber", "new") == 20_002


def test_a_new_group_gets_no_number_of_a_lost_one(desk: Desk) -> None:
    desk.serve(user("new"))
    desk.serve(PROJECT)
    assert number(desk, "gidNumber", "cf9") == 30_001


def test_the_lost_ones_come_back_under_their_numbers_after_new_ones_came(desk: Desk) -> None:
    desk.serve(user("new"), PROJECT)
    back = user("jdoe").replace("{name: jdoe}", "{name: jdoe, uid: 20001}")
    desk.serve(back)
    desk.serve(*["provisioner: 1\naction: reconcile\n"] * 2)
    assert number(desk, "uidNumber", "jdoe") == 20_001
    assert number(desk, "gidNumber", "cf1") == 30_000


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        (user("new").replace("{name: new}", "{name: new, uid: 20001}"), "ad/account/jdoe"),
        (PROJECT.replace("code: CF9", "code: CF9, gid: 30000"), "groups/group/cf1"),
    ],
)
def test_a_lost_number_that_a_request_names_for_another_fails_and_says_whose_it_is(
    desk: Desk, text: str, owner: str
) -> None:
    request = desk.serve(text)
    assert desk.show(request)["state"] == "failed"
    assert owner in desk("show", request).out


def test_the_dry_run_tells_that_a_named_number_is_a_lost_one(desk: Desk) -> None:
    named = desk.file("named.yaml", user("new").replace("{name: new}", "{name: new, uid: 20001}"))
    assert "ad/account/jdoe" in desk("plan", named, code=None).out


def test_the_number_of_an_archived_account_is_given_to_nobody(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    before = {name: (desk.root / name).read_bytes() for name in DIRECTORIES}
    desk.serve(user("gone"))
    desk.serve(of_user("archive", "gone"))
    restore(desk, before)
    desk.serve("provisioner: 1\naction: reconcile\n")
    desk.serve(user("new"))
    assert number(desk, "uidNumber", "new") == 20_001
