"""What a manifest lists beside what is there: a kind for each object, in few questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.contract import InvalidRequest, Key
from provisioner.inspection.comparison import compare
from provisioner.request.request import parse_request
from tests.support.engine_site import Site, allocation, user

ACCOUNT, MEMBER = "first/account/cf", "first/member/cf/ann"
EARLY, LATE = "first/account/ann", "second/account/ann"


@dataclass(frozen=True)
class Case:
    """rows: what the backends have; asked: requests; expected: kinds by key."""

    rows: Mapping[Key, str]
    asked: tuple[str, ...]
    expected: Mapping[Key, str]
    foreign: tuple[str, ...] = ()
    away: bool = False


ONE = allocation(1, "ann")
CASES = {
    "all fits": Case({ACCOUNT: "5", MEMBER: "5"}, (ONE,), {ACCOUNT: "fits", MEMBER: "fits"}),
    "a limit differs": Case(
        {ACCOUNT: "7", MEMBER: "5"}, (ONE,), {ACCOUNT: "differs", MEMBER: "fits"}
    ),
    "a member is missing": Case({ACCOUNT: "5"}, (ONE,), {ACCOUNT: "fits", MEMBER: "missing"}),
    "an account is another's": Case(
        {ACCOUNT: "5", MEMBER: "5"}, (ONE,), {ACCOUNT: "conflict", MEMBER: "fits"}, ("cf",)
    ),
    "the backend is away": Case({}, (ONE,), {ACCOUNT: "fault", MEMBER: "fault"}, away=True),
    "two allocations share it": Case(
        {ACCOUNT: "9", MEMBER: "5"},
        (ONE, allocation(2, "ann", files=9)),
        {ACCOUNT: "fits", MEMBER: "fits"},
    ),
    "a later step, by what is there": Case(
        {EARLY: "7000", LATE: "7000"}, (user("ann", uid=7000),), {EARLY: "fits", LATE: "fits"}
    ),
    "a later step that differs from what is there": Case(
        {EARLY: "7000", LATE: "1"}, (user("ann", uid=7000),), {EARLY: "fits", LATE: "differs"}
    ),
    "a later step of what is missing": Case(
        {LATE: "7000"}, (user("ann", uid=7000),), {EARLY: "missing", LATE: "later"}
    ),
}


def put(site: Site, rows: Mapping[Key, str]) -> None:
    for key, limit in rows.items():
        backend = site.first if key.startswith("first/") else site.second
        backend.rows[key] = {"present": True, "limit": limit}


@pytest.mark.parametrize("name", CASES)
def test_each_object_is_of_a_kind(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    site = Site(tmp_path)
    put(site, case.rows)
    site.first.foreign.update(case.foreign)
    site.first.away = case.away
    found = compare(site.system, [parse_request(text.encode()) for text in case.asked])
    assert {one.key: one.kind for one in found} == case.expected
    assert site.first.calls == site.second.calls == []


def test_what_differs_is_said_with_whom_it_is_for(tmp_path: Path) -> None:
    site = Site(tmp_path)
    put(site, {ACCOUNT: "7", MEMBER: "5"})
    [one] = [c for c in compare(site.system, [parse_request(ONE.encode())]) if c.kind == "differs"]
    assert (one.texts, one.subjects) == (("limit 5",), ("allocation:1",))


def test_a_long_manifest_takes_as_many_questions_as_a_short_one(tmp_path: Path) -> None:
    site = Site(tmp_path)
    compare(site.system, [parse_request(ONE.encode())])
    short = site.first.questions
    many = [allocation(n, f"u{n}", code=f"cf{n}") for n in range(200)]
    found = compare(site.system, [parse_request(text.encode()) for text in many])
    assert len(found) == 400
    assert site.first.questions == 2 * short


def test_a_line_that_cannot_be_right_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        compare(Site(tmp_path).system, [parse_request(allocation(1, code="CF").encode())])
