"""The verbs that repeat a request keep the date at which it lets access end."""

from __future__ import annotations

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


@pytest.mark.parametrize("name", ["user", "storage", "compute", "member"])
def test_a_shipped_template_that_gives_access_takes_a_date(name: str) -> None:
    template = rows.template((SHIPPED_TEMPLATES / "each" / f"{name}.yaml").read_bytes())
    dated = rows.Row(2, {"id": "1", "name": "a", "user": "a", "ends": LATER})
    assert parse(template.body(dated)).value["ends"] == LATER
    assert "ends" not in parse(template.body(rows.Row(2, {"id": "1"}))).value
