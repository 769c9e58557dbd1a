"""Homes on a real host, run as the engine runs them; nothing of anybody's is ever lost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from provisioner.contract import (
    ConfigError,
    Conflict,
    InvalidRequest,
    KnownAfter,
    Level,
)
from provisioner.testing import Ledger
from tests.support.acls import AS_ROOT
from tests.support.homes import (
    JDOE,
    KEY,
    TEMPLATES,
    bring,
    fault_of,
    faults,
    homes,
    seen,
)

pytestmark = AS_ROOT


@pytest.mark.parametrize(
    ("settings", "params", "refused"),
    [
        ({}, {"account_home": "{root}/jdoe"}, ""),
        ({}, {"account_home": "{root}//jdoe/"}, ""),
        ({}, {"account_home": ""}, ""),
        ({}, {"account_home": KnownAfter("resolves")}, ""),
        ({}, {"account_home": "{root}/m/jdoe"}, "account_home"),
        ({"path": "{{ name[0] }}/{{ name }}"}, {"account_home": "{root}/jdoe"}, "account_home"),
        ({"known_as": "/h/{{ name }}"}, {"account_home": "/h/jdoe", "home": "/h/jdoe"}, ""),
        ({"known_as": "/h/{{ name }}"}, {"account_home": "{root}/jdoe"}, "account_home"),
        ({"known_as": "/h/{{ name }}"}, {"home": "{root}/jdoe"}, "home"),
    ],
)
def test_a_home_that_an_account_names_elsewhere_is_refused(
    root: Path, settings: Mapping[str, str], params: Mapping[str, Any], refused: str
) -> None:
    given = {n: v.format(root=root) if isinstance(v, str) else v for n, v in params.items()}
    handler = homes(root, **settings)
    if not refused:
        assert list(handler.claims({**JDOE, **given})) == [KEY]
        return
    with pytest.raises(InvalidRequest) as raised:
        handler.claims({**JDOE, **given})
    assert raised.value.field == refused


def test_a_new_home_has_the_skeleton_and_belongs_to_its_owner(root: Path) -> None:
    bring(homes(root), JDOE)
    assert seen(root / "jdoe") == (20001, 20002, 0o700)
    names = {path.name for path in (TEMPLATES / "home").iterdir()}
    assert {path.name for path in (root / "jdoe").iterdir()} == names
    assert {seen(path)[:2] for path in (root / "jdoe").iterdir()} == {(20001, 20002)}


def test_a_home_without_a_skeleton_is_empty(root: Path) -> None:
    bring(homes(root, skeleton=None), JDOE)
    assert list((root / "jdoe").iterdir()) == []


def test_a_home_that_is_there_keeps_every_file_and_gets_no_skeleton(root: Path) -> None:
    home = root / "jdoe"
    home.mkdir(mode=0o755)
    (home / "thesis").write_text("years of work")
    os.chown(home, 20001, 100)
    bring(homes(root), JDOE)
    assert seen(home) == (20001, 20002, 0o700)
    assert [path.name for path in home.iterdir()] == ["thesis"]
    assert seen(home / "thesis")[:2] == (0, 0)


def test_anothers_home_is_a_conflict_and_stays(root: Path) -> None:
    home = root / "jdoe"
    home.mkdir(mode=0o755)
    os.chown(home, 20009, 20009)
    assert isinstance(fault_of(homes(root)), Conflict)
    assert seen(home) == (20009, 20009, 0o755)


def test_anothers_home_is_taken_over_when_told_so(root: Path) -> None:
    (root / "jdoe").mkdir(mode=0o755)
    assert fault_of(homes(root), adopt=True) is None
    assert seen(root / "jdoe") == (20001, 20002, 0o700)


@pytest.mark.parametrize("adopt", [False, True])
def test_a_home_that_is_a_link_is_a_conflict_and_leads_nowhere(root: Path, adopt: bool) -> None:
    target = root.parent / "target"
    target.mkdir(mode=0o755)
    (root / "jdoe").symlink_to(target)
    fault = fault_of(homes(root), adopt=adopt)
    assert isinstance(fault, Conflict)
    assert "is a link" in fault.message
    assert seen(target) == (0, 0, 0o755)


def test_a_home_that_is_a_file_is_a_conflict_and_stays(root: Path) -> None:
    (root / "jdoe").write_text("mine")
    assert isinstance(fault_of(homes(root)), Conflict)
    assert (root / "jdoe").read_text() == "mine"


def test_two_claims_that_want_different_owners_are_a_conflict(root: Path) -> None:
    handler = homes(root)
    one, other = ({**JDOE, "uid": uid} for uid in (20001, 20003))
    claims = Ledger().claim(handler, one).claims[KEY] + Ledger().claim(handler, other).claims[KEY]
    assert isinstance(Ledger({KEY: claims}).run(handler)[KEY].fault, Conflict)
    assert list(root.iterdir()) == []


def test_a_poison_item_fails_alone(root: Path) -> None:
    (root / "bad").write_text("")
    handler = homes(root)
    names = ["a", "b", "bad", "c"]
    outcomes = Ledger().claim(handler, *({**JDOE, "name": name} for name in names)).run(handler)
    assert list(faults(outcomes)) == ["homes/home/bad"]


def test_homes_may_lie_in_directories_below_the_root(root: Path) -> None:
    (root / "j").mkdir()
    bring(homes(root, path="{{ name[0] }}/{{ name }}"), JDOE)
    assert seen(root / "j" / "jdoe") == (20001, 20002, 0o700)


def test_directories_above_that_are_missing_are_made_and_belong_to_root(root: Path) -> None:
    people = [{**JDOE, "name": name} for name in ("jdoe", "john", "asmith")]
    previous = os.umask(0o077)
    try:
        bring(homes(root, path="people/{{ name[0] }}/{{ name }}"), *people)
    finally:
        os.umask(previous)
    above = [root / "people", root / "people" / "a", root / "people" / "j"]
    assert {seen(path) for path in above} == {(0, 0, 0o755)}
    assert sorted(path.name for path in root.glob("people/?/*")) == ["asmith", "jdoe", "john"]


def test_a_link_on_the_way_is_a_conflict(root: Path) -> None:
    target = root.parent / "target"
    target.mkdir()
    (root / "j").symlink_to(target)
    assert isinstance(fault_of(homes(root, path="{{ name[0] }}/{{ name }}")), Conflict)
    assert list(target.iterdir()) == []


def test_the_inventory_lists_homes_and_nothing_hidden_or_strange(root: Path) -> None:
    handler = homes(root)
    bring(handler, JDOE)
    (root / ".asmith.provisioner-new").mkdir()
    (root / "lost+found").mkdir()
    (root / "Not a name").mkdir()
    (root / "file").touch()
    assert sorted(key for key, _ in handler.inventory()) == [KEY]


def test_the_path_is_what_later_steps_may_use(root: Path) -> None:
    handler = homes(root)
    bring(handler, JDOE)
    ((_, state),) = handler.inventory()
    assert handler.outputs(state) == {"path": f"{root}/jdoe"}


@pytest.mark.parametrize(("mode", "level"), [(0o755, Level.OK), (0o777, Level.ERROR)])
def test_the_doctor_minds_a_root_that_others_may_write_to(
    root: Path, mode: int, level: Level
) -> None:
    root.chmod(mode)
    assert [finding.level for finding in homes(root).check()] == [level]


def test_a_skeleton_that_is_not_there_is_found_when_the_handler_is_built(root: Path) -> None:
    with pytest.raises(ConfigError):
        homes(root, skeleton="nowhere")


def test_a_home_that_is_wanted_elsewhere_is_refused_with_where_it_is_made(root: Path) -> None:
    given = {"name": "jdoe", "uid": 2001, "gid": 2001}
    handler = homes(root)
    assert handler.claims({**given, "home": str(root / "jdoe")}) == handler.claims(given)
    for elsewhere in ("/home/staff/jdoe", str(root / "staff/jdoe"), "jdoe"):
        with pytest.raises(InvalidRequest) as raised:
            handler.claims({**given, "home": elsewhere})
        assert raised.value.field == "home"
        assert str(root / "jdoe") in raised.value.expected
