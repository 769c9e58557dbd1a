"""A home is made where its user logs in to, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli_site import Desk, user
from tests.support.mapped_ids import MAPPED, Mapping

ACCOUNTS = 'home: "{root}/home/{{{{ name }}}}"'


def elsewhere(desk: Desk, path: str = '"{{ name[0] }}/{{ name }}"') -> None:
    """Have homes made below a letter."""
    desk.set(f"root: {desk.root}/home", f"root: {desk.root}/home\n    path: {path}")


def test_a_configuration_whose_accounts_name_another_home_is_none(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    elsewhere(desk)
    said = desk("config", "check", code=4).err
    for word in (f"{desk.root}/home/jdoe", f"{desk.root}/home/j/jdoe", "lds", "homes", "known_as"):
        assert word in said


def test_which_of_several_accounts_counts_is_the_one_that_hosts_ask(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    desk.set("gid: uid\n    home: ", "gid: uid\n    home: /campus/{{ name }} # ")
    desk("config", "check")


def test_homes_that_hosts_see_elsewhere_than_they_are_made_are_right(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    known = f'known_as: "{desk.root}/home/{{{{ name }}}}"'
    elsewhere(desk, f'"{{{{ name[0] }}}}/{{{{ name }}}}"\n    {known}')
    desk("config", "check")
    assert desk.show(desk.serve(user("jdoe")))["state"] == "done"
    assert (desk.root / "home/j/jdoe").is_dir()


def test_a_route_that_gives_accounts_another_home_is_refused_by_check(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "box")
    steps = """
routes:
  user.provision:
  - name: account
    handler: ad
    with: {name: "{{ user.name }}", uid: 20001, home: "{{ user.attributes.place }}"}
  - name: home
    handler: homes
    with:
      name: "{{ user.name }}"
      uid: 20001
      gid: 20001
      account_home: "{{ steps.account.output.home }}"
"""
    desk.config.write_text(desk.config.read_text() + steps)
    desk("config", "check")
    right = user(f"jdoe, attributes: {{place: {desk.root}/home/jdoe}}")
    assert desk("check", "-", stdin=right.encode())
    said = desk("check", "-", stdin=right.replace("home/", "h/").encode(), code=3).out
    assert f"step account (ad) names {desk.root}/h/jdoe as the home of jdoe" in said


@pytest.fixture
def campus(tmp_path: Path) -> Mapping:
    """Give a site whose accounts the campus makes."""
    return Mapping(tmp_path / "box")


def test_what_resolves_elsewhere_is_refused_by_plan_and_no_home_is_made(campus: Mapping) -> None:
    campus.account("jdoe", unixHomeDirectory=f"{campus.root}/home/jdoe")
    with campus.lines.open("a") as lines:
        lines.write("jdoe:x:{}:{}::/home/m/jdoe:/bin/bash\n".format(*MAPPED))
    said = campus("plan", "-", stdin=user("jdoe").encode(), code=3).err
    assert "jdoe would log in to '/home/m/jdoe'" in said
    shown = campus.show(campus.serve(user("jdoe")))
    assert shown["state"] == "failed"
    [error] = [one["error"] for one in shown["result"]["steps"] if one.get("error")]
    assert "it is the output of step resolves" in error["message"]
    assert not (campus.root / "home/jdoe").exists()


def test_what_the_campus_says_does_not_count_where_what_resolves_says_otherwise(
    campus: Mapping,
) -> None:
    campus.account("jdoe", unixHomeDirectory="/home/m/jdoe")
    campus.resolve("jdoe", *MAPPED)
    assert campus.show(campus.serve(user("jdoe")))["state"] == "done"


def test_where_nothing_is_asked_for_names_the_account_s_home_counts(tmp_path: Path) -> None:
    campus = Mapping(tmp_path / "box", with_gate=False)
    campus.account("jdoe", uidNumber=20001, gidNumber=20001, unixHomeDirectory="/home/m/jdoe")
    said = campus("plan", "-", stdin=user("jdoe").encode(), code=3).err
    assert "it is the output of step account" in said
