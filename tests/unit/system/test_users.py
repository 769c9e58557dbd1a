"""Submitters: a uid has the name and the groups of whoever has it by now, a minute late at most."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator

import pytest

from provisioner.system import users

UID = 54321


def person(name: str, gid: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", UID, gid, "", "/", "/bin/sh"))


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing is known of the uid, before and after."""
    for known in (users._users, users._submitters):
        known.pop(UID, None)
    yield
    for known in (users._users, users._submitters):
        known.pop(UID, None)


def has(monkeypatch: pytest.MonkeyPatch, name: str, gid: int) -> None:
    """Give the uid to somebody, as the name service does."""
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: person(name, gid))
    monkeypatch.setattr(os, "getgrouplist", lambda user, group: [group])


def test_a_uid_keeps_its_name_for_a_minute_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert users.KNOWN_FOR <= 60.0
    monkeypatch.setattr(users, "KNOWN_FOR", 0.0)
    has(monkeypatch, "old", 0)
    assert users.user_name(UID) == "old"
    has(monkeypatch, "new", 0)
    assert users.user_name(UID) == "new"


def test_nobody_is_judged_by_the_groups_of_who_had_the_uid_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has(monkeypatch, "old", 0)
    assert users.find(UID) == users.Submitter(UID, "old", frozenset({"root"}))
    # The name is forgotten before the groups are.
    del users._users[UID]
    has(monkeypatch, "new", 1)
    assert users.find(UID) == users.Submitter(UID, "new", frozenset({"daemon"}))


def test_who_is_called_like_another_s_uid_is_not_taken_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has(monkeypatch, "uid-1005", 0)
    assert users.user_name(UID) == f"uid-{UID}"
    assert users.find(UID).name == f"uid-{UID}"
    assert users.uid_of("uid-1005") == 1005


def test_a_uid_is_called_by_each_of_its_names_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, "first", 0)
    monkeypatch.setattr(pwd, "getpwnam", {"second": person("second", 0)}.__getitem__)
    names = ("first", "second", "former", f"uid-{UID}")
    assert [users.is_called(UID, name) for name in names] == [True, True, False, False]


def test_a_writer_beside_a_former_one_of_the_name_is_the_user_of_the_uid_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has(monkeypatch, "alice", 0)
    monkeypatch.setattr(pwd, "getpwnam", {"alice": person("alice", 0)}.__getitem__)
    writer = users.beside("alice", UID)
    assert (writer, users.plain(writer)) == (f"alice:{UID}", "alice")
    assert users.uid_of(writer) == UID
    wrong = (f"bob:{UID}", f"alice:0{UID}x", "alice:", f":{UID}")
    assert [users.uid_of(name) for name in wrong] == [None] * len(wrong)
    assert users.is_called(UID, writer)
    assert not any(users.is_called(UID, name) for name in wrong)
