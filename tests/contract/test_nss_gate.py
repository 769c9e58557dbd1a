"""A gate is ready once a name resolves with the right number, and writes nothing ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from handlers.emulators import getent
from handlers.nss_gate import NssGate, build
from provisioner.contract import (
    Change,
    ConfigError,
    Conflict,
    Fault,
    InvalidRequest,
    KnownAfter,
    Level,
    NotReady,
    Permanent,
    Unavailable,
)
from provisioner.system.process import run
from provisioner.testing import Ledger, site
from provisioner.testing.fakes import Params
from tests.support.ad_backends import Backend, emulated

ROOT = {"user": "root", "uid": 0}


@pytest.fixture
def ad(tmp_path: Path) -> Backend:
    return emulated(tmp_path, "ad")


@pytest.fixture
def gate(ad: Backend, tmp_path: Path) -> NssGate:
    """Give a gate that asks the directory for names, and writes down whom it flushed."""
    program = str(getent.install(tmp_path / "bin", tmp_path / "ad.json"))
    flush = script(tmp_path / "flush", f'echo "$@" >> {tmp_path}/flushed')
    return gate_of(passwd=[program, "passwd"], group=[program, "group"], flush=[flush, "-u"])


def gate_of(**settings: object) -> NssGate:
    return build(site("names", run=run), settings)


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def fault_of(gate: NssGate, *params: Params) -> Fault | None:
    """Ask for one name; say what is in the way."""
    (outcome,) = Ledger().claim(gate, *params).run(gate).values()
    assert outcome.changed == ()
    return outcome.fault


def account(ad: Backend, name: str, uid: int) -> None:
    more = {"unixHomeDirectory": f"/home/{name}", "loginShell": "/bin/bash"}
    ad.user(name, uidNumber=uid, gidNumber=100, **more)


def group(ad: Backend, name: str, gid: int) -> None:
    classes = {"objectClass": ["top", "group"], "sAMAccountName": name}
    ad.directory().add(f"CN={name},OU=groups,{ad.base}", {**classes, "gidNumber": gid})


def test_a_gate_opens_once_the_user_resolves(ad: Backend, gate: NssGate) -> None:
    fault = fault_of(gate, {"user": "jdoe"})
    assert isinstance(fault, NotReady)
    assert "nsswitch" in fault.advice
    account(ad, "jdoe", 20001)
    assert fault_of(gate, {"user": "jdoe"}) is None


def test_a_line_whose_group_is_not_a_number_is_told_with_what_was_printed(tmp_path: Path) -> None:
    line = "jdoe:x:20001:staff:J:/home/jdoe:/bin/bash"
    gate = gate_of(passwd=[script(tmp_path / "getent", f"echo {line}"), "passwd"])
    fault = fault_of(gate, {"user": "jdoe"})
    assert isinstance(fault, NotReady)
    assert line in fault.message


def test_a_gate_opens_once_the_group_resolves(ad: Backend, gate: NssGate) -> None:
    assert isinstance(fault_of(gate, {"group": "cf3"}), NotReady)
    group(ad, "cf3", 30003)
    assert fault_of(gate, {"group": "cf3", "gid": 30003}) is None


@pytest.mark.parametrize("params", [{"user": "jdoe", "uid": 20002}, {"group": "cf3", "gid": 1}])
def test_another_number_behind_the_name_is_a_conflict(
    ad: Backend, gate: NssGate, params: Params
) -> None:
    account(ad, "jdoe", 20001)
    group(ad, "cf3", 30003)
    assert isinstance(fault_of(gate, params), Conflict)


@pytest.mark.parametrize(
    ("params", "first"), [({"user": "jdoe"}, "asmith"), ({"group": "cf3"}, "cf2")]
)
def test_a_number_that_resolves_to_somebody_else_is_a_conflict(
    ad: Backend, gate: NssGate, params: Params, first: str
) -> None:
    for name in ("asmith", "jdoe"):
        account(ad, name, 20001)
    for name in ("cf2", "cf3"):
        group(ad, name, 30003)
    fault = fault_of(gate, params)
    assert isinstance(fault, Conflict)
    assert f"to {first}: the two would own each other's files" in fault.message


def test_a_program_that_knows_no_numbers_says_nothing_against_a_name(tmp_path: Path) -> None:
    text = '[ "$1" = jdoe ] || exit 2; echo jdoe:x:20001:100::/home/jdoe:/bin/sh'
    assert fault_of(gate_of(passwd=[script(tmp_path / "names", text)]), {"user": "jdoe"}) is None


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"user": "jdoe", "gid": 30003}, "gid"),
        ({"user": "jdoe", "uid": 20001, "gid": 100}, "gid"),
        ({"group": "cf3", "uid": 20001}, "uid"),
        ({"group": "cf3", "uid": 20001, "gid": 30003}, "uid"),
        ({"group": "cf3", "uid": KnownAfter("account")}, "uid"),
        ({"user": "jdoe", "uid": -1}, "uid"),
        ({"group": "cf3", "gid": 2**32 - 1}, "gid"),
    ],
)
def test_a_number_that_says_nothing_of_the_name_is_refused(
    gate: NssGate, params: Params, field: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        gate.claims(params)
    assert raised.value.field == field


def test_a_groups_number_may_come_from_an_earlier_step(gate: NssGate) -> None:
    late = KnownAfter("group")
    assert gate.claims({"group": "cf3", "gid": late}) == {
        "names/group/cf3": {"present": True, "id": late}
    }


def test_a_user_is_no_group_and_a_group_no_user(ad: Backend, gate: NssGate) -> None:
    account(ad, "jdoe", 20001)
    group(ad, "cf3", 30003)
    assert isinstance(fault_of(gate, {"group": "jdoe"}), NotReady)
    assert isinstance(fault_of(gate, {"user": "cf3"}), NotReady)


def test_two_claims_that_expect_different_numbers_are_a_conflict(
    ad: Backend, gate: NssGate
) -> None:
    account(ad, "jdoe", 20001)
    key = "names/user/jdoe"
    claims = tuple(
        claim
        for uid in (20001, 20002)
        for claim in Ledger().claim(gate, {"user": "jdoe", "uid": uid}).claims[key]
    )
    assert isinstance(Ledger({key: claims}).run(gate)[key].fault, Conflict)


def test_nobody_waits_at_a_gate_that_nobody_claims_or_all_of_whom_are_suspended(
    gate: NssGate,
) -> None:
    ledger = Ledger().claim(gate, {"user": "jdoe", "uid": 20001})
    ledger.suspend()
    assert [one.fault for one in ledger.run(gate).values()] == [None]
    ledger.withdraw()
    assert [one.fault for one in ledger.run(gate).values()] == [None]


def test_many_names_are_one_question_for_users_and_one_for_groups_and_so_are_their_numbers(
    ad: Backend, tmp_path: Path
) -> None:
    program = getent.install(tmp_path / "bin", tmp_path / "ad.json")
    counted = script(tmp_path / "counted", f'echo x >> {tmp_path}/calls; exec {program} "$@"')
    gate = gate_of(passwd=[counted, "passwd"], group=[counted, "group"])
    for number in range(20):
        account(ad, f"u{number}", 20000 + number)
    users: list[Params] = [{"user": f"u{number}"} for number in range(21)]
    outcomes = Ledger().claim(gate, *users, {"group": "cf3"}).run(gate)
    waiting = {key for key, one in outcomes.items() if one.fault is not None}
    assert waiting == {"names/user/u20", "names/group/cf3"}
    assert (tmp_path / "calls").read_text().split() == ["x", "x", "x"]


@pytest.mark.parametrize(("there", "calls"), [(True, 2), (False, 2)])
def test_who_was_looked_up_ahead_is_asked_for_once_if_they_are_there(
    ad: Backend, tmp_path: Path, there: bool, calls: int
) -> None:
    program = getent.install(tmp_path / "bin", tmp_path / "ad.json")
    counted = script(tmp_path / "counted", f'echo x >> {tmp_path}/calls; exec {program} "$@"')
    flush = script(tmp_path / "flush", f"touch {tmp_path}/flushed")
    gate = gate_of(passwd=[counted, "passwd"], flush=[flush])
    if there:
        account(ad, "jdoe", 20001)
    gate.look_ahead(["names/user/jdoe"])
    with gate._early._turn:
        assert gate._early._turn.wait_for(lambda: not gate._early._open, 20)
    assert not (tmp_path / "flushed").exists()
    assert (fault_of(gate, {"user": "jdoe"}) is None) == there
    assert (tmp_path / "flushed").exists() == (not there)
    assert len((tmp_path / "calls").read_text().split()) == calls


def test_a_cache_is_flushed_for_who_was_not_found_and_for_nobody_else(
    ad: Backend, gate: NssGate, tmp_path: Path
) -> None:
    account(ad, "jdoe", 20001)
    Ledger().claim(gate, {"user": "jdoe"}, {"user": "asmith"}).run(gate)
    assert (tmp_path / "flushed").read_text() == "-u asmith\n"


def test_what_the_account_says_may_be_used_by_later_steps(ad: Backend, gate: NssGate) -> None:
    account(ad, "jdoe", 20001)
    (outcome,) = Ledger().claim(gate, {"user": "jdoe"}).run(gate).values()
    assert outcome.state is not None
    assert gate.outputs(outcome.state) == {
        "name": "jdoe", "id": 20001, "gid": 100, "home": "/home/jdoe", "shell": "/bin/bash",
    }  # fmt: skip


def test_this_hosts_own_names_resolve_by_getent() -> None:
    gate = gate_of()
    assert fault_of(gate, ROOT) is None
    assert isinstance(fault_of(gate, {"user": "nobody-of-that-name"}), NotReady)
    assert [finding.level for finding in gate.check()] == [Level.OK]


@pytest.mark.parametrize(
    "line",
    ["", "jdoe", "jdoe:x", "jdoe:x:", "jdoe:x:many:100::/home/jdoe:/bin/sh", "asmith:x:7:7:::"],
)
def test_a_line_that_is_none_is_no_answer(tmp_path: Path, line: str) -> None:
    gate = gate_of(passwd=[script(tmp_path / "odd", f"echo '{line}'")])
    assert isinstance(fault_of(gate, {"user": "jdoe"}), NotReady)


@pytest.mark.parametrize("text", ["exit 1", "exit 3", "echo jdoe:x:1:1:::; exit 1", "kill -9 $$"])
def test_a_program_that_fails_is_away_and_says_nothing_of_any_name(
    tmp_path: Path, text: str
) -> None:
    gate = gate_of(passwd=[script(tmp_path / "broken", f"echo sssd is down >&2; {text}")])
    fault = fault_of(gate, {"user": "jdoe"})
    assert isinstance(fault, Unavailable)
    assert "sssd is down" in fault.message
    assert [finding.level for finding in gate.check()] == [Level.ERROR]


def test_a_program_that_hangs_is_away(tmp_path: Path) -> None:
    gate = gate_of(passwd=[script(tmp_path / "slow", "exec sleep 60")], timeout=0.05)
    fault = fault_of(gate, {"user": "jdoe"})
    assert isinstance(fault, Unavailable)
    assert "no answer in time" in fault.message


def test_a_program_that_is_not_there_is_away_and_told_by_the_doctor(tmp_path: Path) -> None:
    gate = gate_of(passwd=[str(tmp_path / "nowhere"), "passwd"])
    fault = fault_of(gate, {"user": "jdoe"})
    assert isinstance(fault, Unavailable)
    [finding] = gate.check()
    assert (finding.level, finding.message) == (Level.ERROR, fault.message)
    assert "nowhere cannot be run: No such file" in finding.message


def test_a_gate_refuses_to_write(gate: NssGate) -> None:
    changes: Sequence[Change] = [Change("names/user/jdoe", "make", "make jdoe")]
    with pytest.raises(Permanent):
        gate.apply(changes)


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("user", {}),
        ("user", {"user": "jdoe", "group": "cf3"}),
        ("user", {"user": "-jdoe"}),
        ("user", {"user": "jdoe asmith"}),
        ("user", {"user": "20001"}),
        ("group", {"group": "cf3:x"}),
        ("uid", {"user": "jdoe", "uid": "many"}),
        ("name", {"name": "jdoe"}),
    ],
)
def test_what_is_no_name_is_refused(gate: NssGate, field: str, params: Params) -> None:
    with pytest.raises(InvalidRequest) as raised:
        gate.claims(params)
    assert raised.value.field == field


def test_a_setting_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError) as raised:
        gate_of(password=["getent"])
    assert "password" in raised.value.message


# Slow lookups.


def slow(tmp_path: Path, ad: Backend, seconds: Mapping[str, float]) -> NssGate:
    """Give a gate whose host takes long to look up some names, one after the other."""
    program = getent.install(tmp_path / "bin", tmp_path / "ad.json")
    cases = "".join(f"{name}) sleep {time};; " for name, time in seconds.items())
    text = f'for name in "$@"; do case $name in {cases}esac; done; exec {program} "$@"'
    return gate_of(passwd=[script(tmp_path / "getent", text), "passwd"], timeout=1.0)


def test_names_that_are_slow_together_keep_nobody_out(ad: Backend, tmp_path: Path) -> None:
    """SSSD asks the directory for each unknown name, and a batch of them outlasts one call."""
    account(ad, "jdoe", 20001)
    gate = slow(tmp_path, ad, {"ghost*": 0.04})
    ledger = Ledger().claim(gate, {"user": "jdoe"}, *({"user": f"ghost{i}"} for i in range(60)))
    outcomes = ledger.run(gate)
    faults = {key.rpartition("/")[2]: outcome.fault for key, outcome in outcomes.items()}
    assert faults.pop("jdoe") is None
    assert {type(fault) for fault in faults.values()} == {NotReady}


def test_a_name_whose_lookup_hangs_is_told_alone(ad: Backend, tmp_path: Path) -> None:
    account(ad, "jdoe", 20001)
    gate = slow(tmp_path, ad, {"hangs": 5})
    outcomes = Ledger().claim(gate, {"user": "hangs"}, {"user": "jdoe"}).run(gate)
    assert outcomes["names/user/jdoe"].fault is None
    fault = outcomes["names/user/hangs"].fault
    assert isinstance(fault, NotReady)
    assert "the lookup of hangs got no answer within 1 s" in fault.message
    assert "passwd hangs; check NSS" in fault.advice


def test_a_host_that_answers_nothing_is_away(ad: Backend, tmp_path: Path) -> None:
    gate = slow(tmp_path, ad, {"*doe*": 5})
    outcomes = Ledger().claim(gate, *({"user": f"doe{i}"} for i in range(9))).run(gate)
    assert {type(outcome.fault) for outcome in outcomes.values()} == {Unavailable}


def test_names_are_flushed_in_turn_when_there_are_too_many(ad: Backend, tmp_path: Path) -> None:
    program = str(getent.install(tmp_path / "bin", tmp_path / "ad.json"))
    flush = script(tmp_path / "flush", f'echo "$2" >> {tmp_path}/flushed; sleep 0.6')
    gate = gate_of(passwd=[program, "passwd"], flush=[flush, "-u"], timeout=1.0)
    ledger = Ledger().claim(gate, *({"user": name} for name in ("anna", "bob", "cem")))
    ledger.run(gate)
    ledger.run(gate)
    assert (tmp_path / "flushed").read_text().split() == ["anna", "bob", "cem", "anna"]
