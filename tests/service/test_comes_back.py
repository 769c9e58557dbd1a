"""A group or an account that was deleted behind the back, in a whole sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handlers.emulators.ldap.store import Store
from tests.support.cli_site import Desk, storage, user

RECONCILE = "provisioner: 1\naction: reconcile\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a sandbox with a person in an allocation on storage."""
    desk = Desk(tmp_path / "box")
    desk.serve(user("jdoe"))
    desk.serve(storage())
    return desk


def entries(desk: Desk, attribute: str, name: str) -> list[tuple[str, dict[str, list[bytes]]]]:
    store = Store.at(desk.root / "ad.json")
    with store.reading():
        keys = store.holders(attribute, name.encode())
        return [(store.names[key], store.entries[key]) for key in keys]


def number(desk: Desk, attribute: str, name: str) -> int:
    [(_, entry)] = entries(desk, "sAMAccountName", name)
    return int(entry[attribute][0])


def delete(desk: Desk, name: str) -> None:
    """Delete an entry as an administrator does who asks nobody."""
    [(dn, _)] = entries(desk, "sAMAccountName", name)
    store = Store.at(desk.root / "ad.json")
    with store.writing():
        store.delete(dn)


def says(desk: Desk, subject: str, key: str) -> Any:
    [one] = [
        one for one in desk("status", subject, "--json", code=None).json if one["object"] == key
    ]
    return one


def test_a_group_comes_back_under_the_number_that_its_fileset_has(desk: Desk) -> None:
    before = number(desk, "gidNumber", "cf1")
    delete(desk, "cf1")
    assert says(desk, "allocation:1", "groups/group/cf1")["missing"]
    desk.serve(RECONCILE)
    assert number(desk, "gidNumber", "cf1") == before
    desk.serve(RECONCILE)  # its members waited for it
    assert desk("drift").code == 0


def test_an_account_is_told_in_status_and_drift_until_it_is_as_it_was(desk: Desk) -> None:
    before = number(desk, "uidNumber", "jdoe")
    delete(desk, "jdoe")
    for _ in range(2):
        desk.serve(RECONCILE)
        assert not entries(desk, "sAMAccountName", "jdoe")
        error = says(desk, "user:jdoe", "ad/account/jdoe")["error"]
        assert error["type"] == "Conflict"
        assert f"uid {before}" in error["message"]
        assert "ad/account/jdoe" in desk("drift", code=None).out
    desk.serve(user("jdoe").replace("{name: jdoe}", f"{{name: jdoe, uid: {before}}}"))
    desk.serve(RECONCILE)
    assert number(desk, "uidNumber", "jdoe") == before
    assert says(desk, "user:jdoe", "ad/account/jdoe")["error"] is None
