"""A name that one backend does not take keeps out that one there, and nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_site import Desk

LONG = "anna-maria.bergmann-huber"
"""A name that the format and Slurm take, and Active Directory does not: it takes 20 letters."""

ROUTE = """
policy: {portals: [root], protected: {users: [boss]}}
routes:
  allocation.provision:
  - name: slurm_account
    handler: slurm-a
    with: {account: cf1}
  - name: accounts
    handler: ad
    each: user
    with: {name: "{{ user }}", uid: "{{ 20001 + user|length }}"}
  - name: associations
    handler: slurm-a
    each: user
    needs: [slurm_account]
    with: {account: cf1, user: "{{ user }}"}
  - name: homes
    handler: homes
    each: user
    with:
      name: "{{ user }}"
      uid: "{{ steps.accounts.output.uid }}"
      gid: "{{ steps.accounts.output.uid }}"
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a site that makes accounts for those in an allocation, asked by a portal."""
    desk = Desk(tmp_path / "box")
    desk.config.write_text(desk.config.read_text() + ROUTE)
    return desk


def allocation(*users: str) -> str:
    listed = ", ".join(users)
    return (
        "provisioner: 1\naction: allocation.provision\nallocation: {id: 1, resource: cluster-a, "
        f"project: {{code: CF1}}, users: [{listed}]}}\n"
    )


def there(desk: Desk) -> set[str]:
    """Name what is there and open, of those in the allocation."""
    status = desk("status", "allocation:1", "--json", code=None).json
    return {one["object"] for one in status if (one["state"] or {}).get("present")}


def told(shown: Any) -> list[tuple[str, str]]:
    problems = shown["result"]["problems"] or []
    return [(one["key"], one["message"]) for one in problems]


def test_who_cannot_have_an_account_is_in_slurm_all_the_same_and_all_others_are_served(
    desk: Desk,
) -> None:
    shown = desk.show(desk.serve(allocation("ann", LONG, "bob2")))
    assert shown["state"] == "done"
    users = ("ann", "bob2")
    assert there(desk) == {
        "slurm-a/account/cf1",
        f"slurm-a/assoc/cf1/{LONG}",
        *(f"{kind}/{name}" for name in users for kind in ("slurm-a/assoc/cf1", "ad/account")),
        *(f"homes/home/{name}" for name in users),
    }
    assert told(shown) == [
        (
            "allocation.users[2]",
            f"{LONG} is left out of step accounts (ad), name: {LONG!r} is not a name that "
            "backends take",
        ),
        (
            "allocation.users[2]",
            f"{LONG} is left out of step homes (homes): a step that it needs goes without them",
        ),
    ]


def test_who_is_removed_beside_an_impossible_name_is_out(desk: Desk) -> None:
    desk.serve(allocation("ann", "bob2"))
    assert desk.show(desk.serve(allocation("ann", LONG)))["state"] == "done"
    assert "slurm-a/assoc/cf1/bob2" not in there(desk)


def test_check_and_plan_say_who_is_left_out_and_why(desk: Desk) -> None:
    text = allocation("ann", LONG, "boss").encode()
    plan = desk("plan", "-", stdin=text).out
    check = desk("check", "-", stdin=text).out
    for said in (plan, check):
        assert f"{LONG} is left out of step accounts (ad)" in said
        assert "boss is left out: the name is protected" in said
    assert f"ad/account/{LONG}" not in plan
    assert f"slurm-a/assoc/cf1/{LONG}" in plan


def test_who_is_no_portal_is_refused_and_told_the_line(desk: Desk) -> None:
    desk.set("portals: [root], ", "")
    text = allocation("ann", LONG)
    [problem] = desk("check", "-", "--json", stdin=text.encode(), code=3).json
    assert problem["key"] == "allocation.users[2]"
    assert "at most 20" in problem["expected"]
    assert desk.show(desk.serve(text))["state"] == "refused"


def test_what_else_a_step_does_not_take_refuses_a_portal_too(desk: Desk) -> None:
    desk.set("with: {account: cf1, user", "with: {account: cf1, specs: Nonsense=1, user")
    assert desk.show(desk.serve(allocation("ann", LONG)))["state"] == "refused"
