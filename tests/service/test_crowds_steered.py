"""Who takes from a crowd by steering requests, or lets the service write, finds a second person."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.config.schema import load
from provisioner.journal.records import request_rows
from provisioner.journal.records.request_rows import Record
from tests.support.cli_site import call
from tests.support.crowds import SMALL, members, people
from tests.support.engine_site import Site, allocation, control, membership, release
from tests.support.policy_site import OPERATOR, POLICY, PORTAL, now, put, send, why


@pytest.fixture
def twelve(tmp_path: Path) -> Site:
    """Give a site where an allocation has twelve users, of whom no more than three may go."""
    site = Site(tmp_path, SMALL)
    assert send(site, PORTAL, allocation(1, people(12))).state == "done"
    return site


def take(site: Site, uid: int, text: str, name: str) -> Record:
    """Let a user send a request; return it when it was taken, before anything is made."""
    put(site, uid, text, name)
    site.take()
    with site.system.journal.reading() as conn:
        found = request_rows.newest(conn, name, "")
    assert found is not None
    return found


def test_a_release_that_takes_away_what_people_got_meanwhile_is_counted(tmp_path: Path) -> None:
    site = Site(tmp_path, SMALL)
    take(site, PORTAL, allocation(1, people(12)), "all.yaml")
    fewer = take(site, PORTAL, allocation(1, "u0"), "fewer.yaml")
    assert fewer.state == "accepted", "nobody has anything yet"
    take(site, OPERATOR, control("request.hold", fewer.id), "hold.yaml")
    site.drain()
    assert members(site) == 12
    asked = send(site, OPERATOR, control("request.release", fewer.id), "release.yaml")
    assert (asked.state, now(site, fewer).state, members(site)) == ("held", "held", 12)
    assert "away from 11 users" in why(asked)
    assert send(site, 0, release(asked), "second.yaml").state == "done"
    assert (now(site, fewer).state, members(site)) == ("done", 1)


@pytest.mark.parametrize(
    ("meanwhile", "state", "left"),
    [
        ([], "done", 8),
        ([membership(1, "u9", "remove")], "done", 8),
        ([membership(1, name, "add") for name in ("eve", "fay")], "held", 14),
        ([membership(1, "u9", "remove"), membership(1, "eve", "add")], "held", 12),
    ],
    ids=["nothing", "fewer", "more", "others"],
)
def test_a_release_takes_from_those_alone_whom_it_was_shown_for(
    twelve: Site, meanwhile: list[str], state: str, left: int
) -> None:
    held = send(twelve, PORTAL, allocation(1, people(8)), "fewer.yaml")
    assert held.state == "held"
    for number, text in enumerate(meanwhile):
        assert send(twelve, OPERATOR, text, f"m{number}.yaml").state == "done"
    send(twelve, OPERATOR, release(held), "release.yaml")
    assert (now(twelve, held).state, members(twelve)) == (state, left)


def test_who_would_lose_something_by_what_is_held_is_shown(twelve: Site) -> None:
    held = send(twelve, PORTAL, allocation(1, people(8)), "fewer.yaml")
    said = call("show", held.id, config=str(twelve.root / "provisioner.yaml")).out
    assert "# When released: user:u11: loses something\n" in said


def forget(site: Site) -> None:
    """Remove all requests from the journal, as in one that lost rows on which claims rest."""
    with site.system.journal.transaction() as conn:
        for table in ("step_objects", "steps", "requests"):
            conn.exec_driver_sql(f"DELETE FROM {table}")


def test_a_cancellation_that_leaves_a_crowd_without_anything_is_counted(twelve: Site) -> None:
    forget(twelve)
    for number in range(12):
        del twelve.first.rows[f"first/member/cf/u{number}"]
    twelve.first.missing = {f"u{number}" for number in range(12)}
    again = send(twelve, PORTAL, allocation(1, people(12), files=6), "again.yaml")
    assert again.state in ("accepted", "deferred")
    asked = send(twelve, PORTAL, control("request.cancel", again.id), "cancel.yaml")
    assert asked.state == "held", "nobody claims it for them: who did is forgotten"
    assert "away from 12 users" in why(asked)
    assert send(twelve, OPERATOR, release(asked), "release.yaml").state == "done"
    assert now(twelve, again).state == "cancelled"


@pytest.mark.parametrize("verb", ["cancel", "hold"])
def test_what_a_crowd_has_and_only_a_waiting_request_claims_is_lost_with_that(
    twelve: Site, verb: str
) -> None:
    send(twelve, OPERATOR, control("lane.pause", "first"), "pause.yaml")
    other = send(twelve, PORTAL, allocation(2, people(12)), "other.yaml")
    assert send(twelve, PORTAL, allocation(1), "leave.yaml").state != "held"
    asked = send(twelve, PORTAL, control(f"request.{verb}", other.id), f"{verb}.yaml")
    assert asked.state == "held"
    assert "away from 12 users" in why(asked)
    send(twelve, OPERATOR, control("lane.unpause", "first"), "unpause.yaml")
    assert members(twelve) == 12


def test_a_cancellation_that_gives_back_what_was_is_nobodys_loss(twelve: Site) -> None:
    twelve.first.missing = {f"v{number}" for number in range(9)}
    more = ", ".join([people(12), *sorted(twelve.first.missing)])
    waits = send(twelve, PORTAL, allocation(1, more, files=6), "more.yaml")
    assert waits.state in ("accepted", "deferred")
    for verb in ("hold", "cancel"):
        asked = send(twelve, PORTAL, control(f"request.{verb}", waits.id), f"{verb}.yaml")
        assert asked.state == "done"
    assert members(twelve) == 12


@pytest.mark.parametrize(("stays", "state"), [(4, "held"), (14, "done")])
def test_who_lets_an_observing_service_write_has_to_find_a_second_person_where_a_crowd_loses(
    tmp_path: Path, stays: int, state: str
) -> None:
    site = Site(tmp_path, POLICY)
    send(site, 0, allocation(1, people(15)))
    mode(site, "mode: observe\n")
    left_out = send(site, 0, allocation(1, people(stays)), "fewer.yaml")
    if left_out.state == "held":
        send(site, OPERATOR, release(left_out), "release.yaml")
    mode(site, "mode: converge\n")
    assert len([key for key in site.first.rows if "/member/" in key]) == 15
    found = send(site, 0, "provisioner: 1\naction: journal.release\n", "go.yaml")
    assert found.state == state
    if state == "held":
        assert "it would take something away from 11 users" in why(found)
        assert len([key for key in site.first.rows if "/member/" in key]) == 15
        send(site, OPERATOR, release(found), "release.yaml")
        assert now(site, found).state == "done"
    site.drain()
    assert len([key for key in site.first.rows if "/member/" in key]) == stays


def mode(site: Site, said: str) -> None:
    """Change the mode in the configuration, and start the service anew."""
    path = site.root / "provisioner.yaml"
    kept = [line for line in path.read_text().splitlines(True) if not line.startswith("mode:")]
    path.write_text("".join([*kept, said]))
    site.config = load(path)
    site.spool.close()
    site.system.journal.close()
    site.start()
