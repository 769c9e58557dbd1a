"""Homes on a real host, run as the engine runs them; nothing of anybody's is ever lost."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from handlers.home_directory import HomeDirectory, build
from provisioner.contract import (
    Change,
    Claim,
    ConfigError,
    Conflict,
    Fault,
    InvalidRequest,
    Key,
    KnownAfter,
    Level,
    Permanent,
    State,
    Transient,
    Unavailable,
)
from provisioner.convergence.converge import Outcome
from provisioner.system.directories import RealHost
from provisioner.testing import Ledger, site
from provisioner.testing.fakes import Interrupted, watched
from tests.support.acls import AS_ROOT, getfacl

pytestmark = AS_ROOT

TEMPLATES = Path(__file__).parents[2] / "templates"
JDOE = {"name": "jdoe", "uid": 20001, "gid": 20002}
KEY = "homes/home/jdoe"
ABSENT: State = {"present": False, "path": "/home/jdoe"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "home"
    root.mkdir(mode=0o755)
    return root


def homes(root: Path, **settings: object) -> HomeDirectory:
    made = site("homes", host=RealHost(), templates=TEMPLATES)
    return build(made, {"root": str(root), **settings})


def bring(handler: HomeDirectory, *params: Mapping[str, object]) -> Ledger:
    """Make homes; none may fail."""
    ledger = Ledger().claim(handler, *params)
    assert faults(ledger.run(handler)) == {}
    return ledger


def faults(outcomes: Mapping[Key, Outcome]) -> dict[Key, str]:
    return {key: str(one.fault) for key, one in outcomes.items() if one.fault is not None}


def fault_of(handler: HomeDirectory, **params: object) -> Fault | None:
    """Try to make jdoe's home, and say what became of it."""
    return Ledger().claim(handler, {**JDOE, **params}).run(handler)[KEY].fault


def claims(handler: HomeDirectory) -> Sequence[Claim]:
    return Ledger().claim(handler, JDOE).claims[KEY]


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


def seen(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def by_user(uid: int, gid: int, *argv: str) -> bool:
    """Say whether somebody else may do something."""
    done = subprocess.run(
        argv, user=uid, group=gid, extra_groups=[], capture_output=True, check=False
    )
    return done.returncode == 0


def as_user(uid: int, gid: int, look: Path) -> bool:
    """Say whether somebody else may list a directory."""
    return by_user(uid, gid, "ls", "-A", str(look))


def killed_after(writes: int, ledger: Ledger, handler: HomeDirectory) -> None:
    """Converge, and be killed before the write after some; to the end where there are fewer."""
    left = [writes]

    def count(_: Sequence[Change]) -> None:
        if not left[0]:
            raise Interrupted
        left[0] -= 1

    with suppress(Interrupted):
        ledger.run(watched(handler, count))


@pytest.fixture
def passable() -> Iterator[Path]:
    """Give a root that others may pass through to; pytest's own directories are shut."""
    with TemporaryDirectory(dir="/var/tmp") as top:
        Path(top).chmod(0o755)
        yield Path(top)


# Making and keeping.


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


# Paths.


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


# Closing and opening.


def test_suspending_closes_and_resuming_restores(passable: Path) -> None:
    home, handler = passable / "jdoe", homes(passable)
    ledger = bring(handler, JDOE)
    (home / "thesis").write_text("years of work")
    assert as_user(20001, 20002, home)
    ledger.suspend()
    assert faults(ledger.run(handler)) == {}
    assert seen(home) == (0, 20002, 0o1000)
    assert not as_user(20001, 20002, home)
    ledger.suspend(False)
    assert faults(ledger.run(handler)) == {}
    assert seen(home) == (20001, 20002, 0o700)
    assert (home / "thesis").read_text() == "years of work"


@pytest.mark.parametrize(
    "site, given, back",
    [
        ("0700", 0o711, 0o711),
        ("0700", 0o777, 0o755),
        ("0770", 0o2777, 0o2775),
        ("0700", 0o1733, 0o1711),
    ],
    ids=["narrow", "everybody's", "the site's group writes", "sticky"],
)
def test_the_mode_that_a_home_had_comes_back_but_for_what_lets_others_write(
    root: Path, site: str, given: int, back: int
) -> None:
    handler = homes(root, mode=site)
    ledger = bring(handler, JDOE)
    (root / "jdoe").chmod(given)
    for suspended, mode in ((True, 0o1000), (False, back)):
        ledger.suspend(suspended)
        assert faults(ledger.run(handler)) == {}
        assert seen(root / "jdoe")[2] == mode


def test_what_nobody_claims_is_closed_and_kept(root: Path) -> None:
    handler = homes(root)
    ledger = bring(handler, JDOE)
    (root / "jdoe" / "thesis").write_text("years of work")
    ledger.withdraw()
    assert faults(ledger.run(handler)) == {}
    assert seen(root / "jdoe") == (0, 20002, 0o1000)
    assert (root / "jdoe" / "thesis").read_text() == "years of work"


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_once_closing_has_begun_the_user_cannot_open_it_again(passable: Path, writes: int) -> None:
    home, handler = passable / "jdoe", homes(passable)
    ledger = bring(handler, JDOE)
    ledger.suspend()
    killed_after(writes, ledger, handler)
    assert by_user(20001, 20002, "chmod", "0777", str(home)) is (writes == 0)
    assert faults(ledger.run(handler)) == {}
    assert seen(home) == (0, 20002, 0o1000)


@pytest.mark.parametrize("writes", range(4))
@pytest.mark.parametrize("change", ["closing", "opening"])
def test_at_no_moment_somebody_else_may_enter(passable: Path, change: str, writes: int) -> None:
    home, handler = passable / "jdoe", homes(passable, mode="0750", acl="g:4711:r-x")
    ledger = bring(handler, JDOE)
    ledger.suspend()
    if change == "opening":
        assert faults(ledger.run(handler)) == {}
        ledger.suspend(False)
    killed_after(writes, ledger, handler)
    strangers = {"a user": 20009, "of another group": 4712, "of root's group": 0}
    assert [who for who, gid in strangers.items() if as_user(20009, gid, home)] == []
    assert faults(ledger.run(handler)) == {}
    friends = {"the user": (20001, 20002), "of the group": (20009, 20002), "ACL": (20009, 4711)}
    let_in = [who for who, (uid, gid) in friends.items() if as_user(uid, gid, home)]
    assert let_in == (list(friends) if change == "opening" else [])


def test_a_home_that_was_withdrawn_and_then_suspended_opens_again(root: Path) -> None:
    handler = homes(root)
    ledger = bring(handler, JDOE)
    ledger.withdraw()
    ledger.run(handler)
    ledger.claim(handler, JDOE).suspend()
    assert faults(ledger.run(handler)) == {}
    ledger.suspend(False)
    assert faults(ledger.run(handler)) == {}
    assert seen(root / "jdoe") == (20001, 20002, 0o700)


def test_a_closed_home_opens_to_nobody_but_whom_it_belonged_to(root: Path) -> None:
    handler = homes(root)
    ledger = bring(handler, JDOE)
    ledger.withdraw()
    ledger.run(handler)
    (outcome,) = ledger.claim(handler, {**JDOE, "uid": 20009}).run(handler).values()
    assert isinstance(outcome.fault, Conflict)
    assert "belongs to 20001" in outcome.fault.message
    assert seen(root / "jdoe") == (0, 20002, 0o1000)


def test_another_persons_new_home_gets_nothing_of_the_old_one(root: Path) -> None:
    handler = homes(root)
    ledger = bring(handler, JDOE)
    (root / "jdoe").chmod(0o777)
    ledger.withdraw()
    ledger.run(handler)
    (root / "jdoe").rename(root / "archived")
    ledger.claim(handler, {**JDOE, "uid": 20009})
    assert faults(ledger.run(handler)) == {}
    assert seen(root / "jdoe") == (20009, 20002, 0o700)


@pytest.mark.parametrize("uid", [0, 20009])
def test_a_suspension_closes_no_directory_of_others(root: Path, uid: int) -> None:
    (root / "jdoe").mkdir(mode=0o755)
    os.chown(root / "jdoe", uid, 100)
    handler = homes(root)
    ledger = Ledger().claim(handler, JDOE)
    ledger.suspend()
    assert isinstance(ledger.run(handler)[KEY].fault, Conflict)
    assert seen(root / "jdoe") == (uid, 100, 0o755)


def test_what_is_of_the_system_is_left_when_nobody_claims_it(root: Path) -> None:
    (root / "jdoe").mkdir(mode=0o755)
    handler = homes(root)
    ledger = Ledger().claim(handler, JDOE)
    ledger.withdraw()
    assert faults(ledger.run(handler)) == {}
    assert seen(root / "jdoe") == (0, 0, 0o755)


def test_a_site_may_close_by_another_mode(root: Path) -> None:
    handler = homes(root, closed_mode="0500")
    ledger = bring(handler, JDOE)
    ledger.suspend()
    ledger.run(handler)
    assert seen(root / "jdoe") == (0, 20002, 0o1500)


@pytest.mark.parametrize("mode", ["0050", "0005", "0711", "1700"])
def test_a_mode_that_closes_nothing_is_refused_when_the_handler_is_built(
    root: Path, mode: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        homes(root, closed_mode=mode)
    assert "closed_mode" in raised.value.message


# ACLs.


def test_an_acl_lets_in_whom_it_names_and_nobody_else(passable: Path) -> None:
    bring(homes(passable, acl="g:4711:r-x,d:g:4711:r-x"), JDOE)
    home = passable / "jdoe"
    assert as_user(20001, 20002, home)
    assert as_user(20009, 4711, home)
    assert not as_user(20009, 20002, home)
    assert not as_user(20009, 4712, home)
    assert {"group::---", "mask::r-x", "default:group:4711:r-x"} <= getfacl(home)


def test_an_acl_on_a_home_that_was_wide_open_gives_the_owning_group_nothing(root: Path) -> None:
    home = root / "jdoe"
    home.mkdir(mode=0o755)
    os.chown(home, 20001, 20002)
    bring(homes(root, acl="g:4711:r-x"), JDOE)
    assert getfacl(home) == {"user::rwx", "group::---", "group:4711:r-x", "mask::r-x", "other::---"}


def test_another_acl_takes_the_place_of_the_old_one(root: Path) -> None:
    bring(homes(root, acl="g:4711:r-x,d:g:4711:rwx"), JDOE)
    bring(homes(root, acl="u:20009:rwx"), JDOE)
    assert getfacl(root / "jdoe") == {
        "user::rwx", "user:20009:rwx", "group::---", "mask::rwx", "other::---",
    }  # fmt: skip


def test_an_acl_is_taken_off_with_all_that_it_gave(root: Path) -> None:
    bring(homes(root, acl="g:4711:r-x,d:g:4711:rwx"), JDOE)
    bring(homes(root), JDOE)
    assert getfacl(root / "jdoe") == {"user::rwx", "group::---", "other::---"}


def test_a_suspension_closes_to_those_of_the_acl_and_a_resume_lets_them_in(passable: Path) -> None:
    home, handler = passable / "jdoe", homes(passable, acl="g:4711:r-x")
    ledger = bring(handler, JDOE)
    before = getfacl(home)
    ledger.suspend()
    assert faults(ledger.run(handler)) == {}
    assert not as_user(20009, 4711, home)
    ledger.suspend(False)
    assert faults(ledger.run(handler)) == {}
    assert getfacl(home) == before
    assert as_user(20009, 4711, home)


@pytest.mark.parametrize("acl", ["group:cf3:r-x", "g:cf3:r-x", "g:4711:rx", "x:1:r--", "g:1"])
def test_an_acl_that_is_none_is_refused_when_the_handler_is_built(root: Path, acl: str) -> None:
    with pytest.raises(ConfigError) as raised:
        homes(root, acl=acl)
    assert "acl" in raised.value.message


# What may be wrong.


@pytest.mark.parametrize(
    ("field", "number"),
    [*(("uid", n) for n in (0, -1, 999, 4294967295)), *(("gid", n) for n in (0, 99, 4294967295))],
)
def test_an_id_outside_the_range_is_refused(root: Path, field: str, number: int) -> None:
    with pytest.raises(InvalidRequest) as raised:
        homes(root).claims({**JDOE, field: number})
    assert raised.value.field == field


def test_a_wrong_id_is_answered_in_words_for_a_person(root: Path) -> None:
    with pytest.raises(InvalidRequest) as raised:
        homes(root).claims({**JDOE, "uid": "root"})
    assert "no whole number" in raised.value.message


def test_a_root_that_is_not_mounted_is_unavailable(tmp_path: Path) -> None:
    assert isinstance(fault_of(homes(tmp_path / "nowhere")), Unavailable)


def test_nothing_is_made_below_a_root_that_has_to_be_mounted_and_is_not(root: Path) -> None:
    handler = homes(root, mounted=True, path="{{ name[0] }}/{{ name }}")
    fault = fault_of(handler)
    assert isinstance(fault, Unavailable)
    assert str(root) in fault.message and f"mount {root}" in fault.advice
    with pytest.raises(Unavailable):
        handler.apply(handler.plan(KEY, handler.merge(KEY, claims(handler), None), ABSENT))
    assert list(root.iterdir()) == []


def test_the_doctor_minds_a_root_that_has_to_be_mounted_and_is_not(root: Path) -> None:
    (finding,) = homes(root, mounted=True).check()
    assert (finding.level, finding.advice.startswith(f"mount {root}")) == (Level.ERROR, True)


def test_a_root_that_is_mounted_is_looked_into() -> None:
    mounted = homes(Path("/proc"), mounted=True)
    assert not isinstance(mounted.observe([KEY])[KEY], Fault)
    assert [finding.level for finding in mounted.check()] == [Level.OK]


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, Transient), (errno.EIO, Transient), (errno.EPERM, Permanent)],
)
def test_a_full_disk_may_be_well_later_and_a_missing_right_may_not(
    root: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Fault]
) -> None:
    def failing(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", failing)
        fault = fault_of(homes(root))
    assert type(fault) is kind
    assert os.strerror(number) in str(fault)


def test_a_file_system_that_cannot_be_read_is_one_objects_own_fault(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> Any:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    handler = homes(root)
    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", failing)
        assert isinstance(handler.observe([KEY])[KEY], Transient)


# The rest.


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


# Directories above a home.


@pytest.mark.parametrize("path", ["{{ name[0] }}/{{ name }}", "{{ name[0] }}/new/{{ name }}"])
def test_a_home_below_a_directory_that_is_not_an_admins_is_refused_before_anything_is_made(
    root: Path, path: str
) -> None:
    (root / "j").mkdir()
    os.chown(root / "j", 20009, 20009)
    nested = homes(root, path=path)
    [seen] = nested.observe([KEY]).values()
    assert not isinstance(seen, Fault)
    with pytest.raises(Permanent, match="who is no admin could exchange"):
        nested.plan(KEY, nested.merge(KEY, claims(nested), None), seen)
    fault = fault_of(nested)
    assert isinstance(fault, Permanent)
    assert f"{root}/j belongs to uid 20009 (chown root {root}/j)" in fault.message
    assert list((root / "j").iterdir()) == []


def test_a_home_whose_directory_above_was_given_away_is_closed_and_not_opened_again(
    root: Path,
) -> None:
    nested = homes(root, path="{{ name[0] }}/{{ name }}")
    ledger = bring(nested, JDOE)
    os.chown(root / "j", 20009, 20009)
    ledger.suspend()
    assert faults(ledger.run(nested)) == {}
    assert seen(root / "j" / "jdoe")[0] == 0
    ledger.suspend(False)
    assert "who is no admin could exchange" in faults(ledger.run(nested))[KEY]
    assert seen(root / "j" / "jdoe")[0] == 0
    os.chown(root / "j", 0, 0)
    assert faults(ledger.run(nested)) == {}
    assert seen(root / "j" / "jdoe")[:2] == (20001, 20002)


def test_a_root_that_others_could_exchange_is_told_by_doctor(root: Path) -> None:
    os.chown(root, 20009, 20009)
    [finding] = homes(root).check()
    assert (finding.level, finding.advice) == (Level.ERROR, f"chown root {root}")
    assert isinstance(fault_of(homes(root)), Unavailable)
