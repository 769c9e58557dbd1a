"""Dates at which access ends: verbs that repeat a request keep them; queue and list show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.drafts import rows
from provisioner.request.documents import parse
from provisioner.request.request import parse_request
from provisioner.wiring import SHIPPED_TEMPLATES
from tests.support.cli_site import Desk, of_user, storage

SOON, LATER = "2098-01-31T00:00:00Z", "2099-01-31T00:00:00Z"


def ending(text: str, ends: str) -> str:
    return text.replace("action:", f"ends: {ends}\naction:", 1)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Have two courses that end, and bmiller in the second for less; its tests send nothing."""
    desk = Desk(tmp_path_factory.mktemp("dates") / "site")
    desk.serve(*(of_user("provision", name) for name in ("jdoe", "asmith", "bmiller")))
    desk.serve(ending(course(1), LATER), ending(course(2), LATER))
    desk.serve(ending(joining("bmiller", 2), SOON))
    return desk


def course(number: int) -> str:
    return storage(f"CF{number}").replace("id: 1\n", f"id: {number}\n")


def joining(user: str, number: int) -> str:
    place = f"{{id: {number}, resource: hpc-storage, project: {{code: CF{number}}}}}"
    return (
        "provisioner: 1\naction: membership.add\n"
        f"membership: {{user: {user}, allocation: {place}}}\n"
    )


def shown(desk: Desk, *words: str) -> Any:
    """Return the request that a verb would send."""
    out = desk(*words, "--dry-run").out
    return parse(out.partition("\n\n")[0].encode()).value


def test_a_new_quota_keeps_the_date_of_the_allocation(desk: Desk) -> None:
    assert shown(desk, "set-quota", "1", "--space", "6TiB")["ends"] == LATER


def test_a_quota_is_left_as_it_is_where_members_have_dates_of_their_own(desk: Desk) -> None:
    done = desk("set-quota", "2", "--space", "6TiB", code=3)
    assert "a date of their own, which would be removed: bmiller" in done.err
    assert list((desk.spool / "staging").iterdir()) == []


def test_who_is_let_in_again_keeps_their_date(desk: Desk) -> None:
    assert shown(desk, "grant", "bmiller", "2")["ends"] == SOON
    assert "ends" not in shown(desk, "grant", "bmiller", "1")


def test_what_is_corrected_after_a_failure_keeps_its_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path / "site")
    failed = desk.serve(ending(of_user("provision", "jdoe").replace("name:", "nam:"), LATER))
    monkeypatch.setenv("EDITOR", "sed -i s/nam:/name:/")
    desk("edit", failed)
    [staged] = (desk.spool / "staging").iterdir()
    ends = parse_request(staged.read_bytes()).ends
    assert ends is not None
    assert ends.isoformat() == "2099-01-31T00:00:00+00:00"


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:00:00Z")


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Have a person, a course and a guest of another whose access ends, the guest's first."""
    desk = Desk(tmp_path_factory.mktemp("ends") / "site")
    desk.serve(*(of_user("provision", name) for name in ("jdoe", "bmiller")))
    desk.serve(ending(of_user("provision", "asmith"), in_days(29)))
    desk.serve(course(1), ending(course(2), in_days(40)))
    desk.serve(ending(joining("bmiller", 1), in_days(5)))
    return desk


def test_the_queue_says_in_a_line_whose_access_ends_soon(ends: Desk) -> None:
    line = ends("queue").out.splitlines()[-1]
    day = in_days(5)[:10]
    assert line == (
        "access that ends within 30 days: 2 (next: bmiller in allocation 1 (CF1, hpc-storage), "
        f"on {day}); all: provisioner list ends"
    )
    rows = ends("queue", "--json").json["ends"]
    assert [(row["subject"], row["ends"][:10]) for row in rows] == [
        ("allocation:1/user:bmiller", day),
        ("user:asmith", in_days(29)[:10]),
    ]


def test_a_queue_without_such_access_says_nothing_of_it(desk: Desk) -> None:
    assert "access that ends" not in desk("queue").out
    assert desk("queue", "--json").json["ends"] == []


def test_whose_access_ends_is_listed_the_next_first(ends: Desk) -> None:
    rows = ends("list", "ends", "--json").json
    assert [(row["subject"], row["people"], row["project"], row["resource"]) for row in rows] == [
        ("allocation:1/user:bmiller", ["bmiller"], "CF1", "hpc-storage"),
        ("user:asmith", ["asmith"], "", ""),
        ("allocation:2", ["jdoe"], "CF2", "hpc-storage"),
    ]
    assert [row["ends"] for row in rows] == sorted(row["ends"] for row in rows)
    assert {row["writer"] for row in rows} == {"root"}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--user", "jdoe"], ["allocation:2"]),
        (["--user", "user:bmiller"], ["allocation:1/user:bmiller"]),
        (["--project", "CF1"], ["allocation:1/user:bmiller"]),
        (["--resource", "hpc-storage"], ["allocation:1/user:bmiller", "allocation:2"]),
        (["--suspended"], []),
    ],
    ids=str,
)
def test_dates_are_listed_of_one_person_project_or_resource(
    ends: Desk, words: list[str], found: list[str]
) -> None:
    rows = ends("list", "ends", *words, "--json").json
    assert [row["subject"] for row in rows] == found


@pytest.mark.parametrize("name", ["user", "storage", "compute", "member"])
def test_a_shipped_template_that_gives_access_takes_a_date(name: str) -> None:
    template = rows.template((SHIPPED_TEMPLATES / "each" / f"{name}.yaml").read_bytes())
    dated = rows.Row(2, {"id": "1", "name": "a", "user": "a", "ends": LATER})
    assert parse(template.body(dated)).value["ends"] == LATER
    assert "ends" not in parse(template.body(rows.Row(2, {"id": "1"}))).value
