"""What may be wrong with a home on a real host, and what is said of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from handlers.home_directory import build
from provisioner.contract import (
    DirectoryState,
    Fault,
    InvalidRequest,
    Level,
    NotReady,
    Permanent,
    Transient,
    Unavailable,
)
from provisioner.system.directories import RealHost
from provisioner.testing import Ledger, site
from tests.support.acls import AS_ROOT
from tests.support.homes import (
    ABSENT,
    JDOE,
    KEY,
    TEMPLATES,
    bring,
    claims,
    fault_of,
    faults,
    homes,
    seen,
)

pytestmark = AS_ROOT


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
    assert "not a whole number" in raised.value.message


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


class Hangs(RealHost):
    """A host where the homes of some people lie on a mount that does not answer."""

    def observe(self, root: Path, path: str, *, mounted: bool = False) -> DirectoryState:
        if path in ("ann", "eve"):
            raise Unavailable(f"the agent gave no answer to observe {path}")
        return super().observe(root, path, mounted=mounted)


def test_homes_on_a_mount_that_does_not_answer_keep_no_other_one_waiting(root: Path) -> None:
    handler = build(site("homes", host=Hangs(), templates=TEMPLATES), {"root": str(root)})
    people = [{**JDOE, "name": name} for name in ("ann", "eve", "jdoe")]
    outcomes = Ledger().claim(handler, *people).run(handler)
    kinds = {key: type(one.fault) for key, one in outcomes.items() if one.fault is not None}
    assert kinds == {"homes/home/ann": NotReady, "homes/home/eve": NotReady}
    assert (root / "jdoe").is_dir()


@pytest.mark.parametrize("path", ["{{ name[0] }}/{{ name }}", "{{ name[0] }}/new/{{ name }}"])
def test_a_home_below_a_directory_that_is_not_an_admins_is_refused_before_anything_is_made(
    root: Path, path: str
) -> None:
    (root / "j").mkdir()
    os.chown(root / "j", 20009, 20009)
    nested = homes(root, path=path)
    [seen] = nested.observe([KEY]).values()
    assert not isinstance(seen, Fault)
    with pytest.raises(Permanent, match="who is not an admin could replace"):
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
    assert "who is not an admin could replace" in faults(ledger.run(nested))[KEY]
    assert seen(root / "j" / "jdoe")[0] == 0
    os.chown(root / "j", 0, 0)
    assert faults(ledger.run(nested)) == {}
    assert seen(root / "j" / "jdoe")[:2] == (20001, 20002)


def test_a_root_that_others_could_exchange_is_told_by_doctor(root: Path) -> None:
    os.chown(root, 20009, 20009)
    [finding] = homes(root).check()
    assert (finding.level, finding.advice) == (Level.ERROR, f"chown root {root}")
    assert isinstance(fault_of(homes(root)), Unavailable)
