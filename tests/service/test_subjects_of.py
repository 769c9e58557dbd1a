"""Whose a subject is: projects and accounts that rules name, and writers who had it first."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from provisioner.recovery.retention import Keeper
from tests.support.engine_site import CONFIG, Site, allocation, membership, user
from tests.support.policy_site import OPERATOR, PORTAL, STRANGER, now, send, why

RULES = """\
policy:
  rules:
  - {who: [uid-4711], actions: ["allocation.*", "membership.*"], resources: [one], others: true}
  - {who: [uid-4711], actions: ["allocation.*", "membership.*"], resources: [two], others: true}
  - {who: [uid-4714], actions: ["allocation.*", "membership.*"], resources: [one],
     projects: ["cg*"], accounts: [guests]}
  - {who: [uid-4713], actions: ["allocation.*", "membership.*"]}
  - {who: [uid-4712], actions: ["*"], others: true}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Give a site with a portal, one whose rule names projects, and one who has their own."""
    return Site(tmp_path, RULES)


SECOND = 4713
GUESTS = "  slurm: {account: guests}\n"
ANOTHERS = "  slurm: {account: cf}\n"
FILESET = "  storage: {fileset: cf}\n"


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (allocation(5, "ann", code="cg1"), "done"),
        (allocation(5, "ann", code="CG1").replace("CG1", "cg1"), "done"),
        (allocation(5, "ann", code="cf"), "refused"),
        (allocation(5, "ann", code="cg1") + GUESTS, "done"),
        (allocation(5, "ann", code="cg1") + ANOTHERS, "refused"),
        (allocation(5, "ann", code="cg1") + FILESET, "refused"),
        (membership(5, "ann", "add"), "refused"),
        (allocation(1, verb="suspend", code="cg1"), "refused"),
        (allocation(1, "", code="cg1"), "refused"),
    ],
    ids=[
        "its project",
        "again",
        "another project",
        "an account that is named",
        "another account",
        "another's fileset",
        "a membership of another project",
        "an allocation of another project, suspended",
        "an allocation of another project, emptied",
    ],
)
def test_a_rule_for_projects_holds_whatever_a_request_touches(
    site: Site, text: str, state: str
) -> None:
    send(site, PORTAL, allocation(1, "bob"), "theirs.yaml")
    assert send(site, STRANGER, text).state == state
    assert "first/member/cf/bob" in site.first.rows


def test_a_rule_covers_what_an_allocation_has_however_long_ago_that_was_asked_for(
    tmp_path: Path,
) -> None:
    others = RULES.replace("accounts: [guests]}", "others: true}")
    site = Site(tmp_path, others + "retention: {journal_days: 1, journal_floor: 1}\n")
    send(site, PORTAL, allocation(1, "bob"), "theirs.yaml")
    send(site, OPERATOR, user("last"), "last.yaml")
    keeper = Keeper(site.spool, site.system.journal, site.config.retention)
    keeper.prune(time.time() + 1000 * 86400)
    assert send(site, STRANGER, allocation(1, "ann", code="cg1")).state == "refused"
    assert "first/member/cf/bob" in site.first.rows


@pytest.mark.parametrize(
    "text",
    [allocation(1, "eve"), allocation(1, verb="suspend"), membership(1, "ann", "remove")],
    ids=["provision", "suspend", "remove"],
)
def test_a_subject_is_theirs_who_had_it_first(site: Site, text: str) -> None:
    send(site, OPERATOR, allocation(1, "ann"))
    refused = send(site, SECOND, text, "other.yaml")
    assert refused.state == "refused"
    assert "uid-4712's: uid-4713 may ask for their own only" in why(refused)
    assert "first/member/cf/ann" in site.first.rows
    send(site, SECOND, allocation(2, "ann"), "own.yaml")
    assert send(site, SECOND, text.replace("id: 1", "id: 2"), "mine.yaml").state == "done"


def test_whose_rule_says_others_takes_a_subject_over_and_it_stays_its_first_writers(
    site: Site,
) -> None:
    send(site, SECOND, allocation(1, "ann"))
    assert send(site, OPERATOR, allocation(1, "ann, bob"), "more.yaml").state == "done"
    assert send(site, SECOND, allocation(1, "ann"), "back.yaml").state == "done"


def test_a_subject_stays_its_first_writers_however_long_ago_they_last_asked(tmp_path: Path) -> None:
    site = Site(tmp_path, RULES + "retention: {journal_days: 1, journal_floor: 1}\n")
    send(site, SECOND, allocation(1, "ann"))
    for number in range(2):
        send(site, OPERATOR, allocation(1, "ann, bob", files=number + 5), f"{number}.yaml")
    send(site, OPERATOR, user("last"), "last.yaml")
    keeper = Keeper(site.spool, site.system.journal, site.config.retention)
    keeper.prune(time.time() + 1000 * 86400)
    assert send(site, SECOND, allocation(1, "ann"), "back.yaml").state == "done"


def test_who_claims_an_unused_id_keeps_nobody_out_whose_rules_cover_all(site: Site) -> None:
    squatted = send(site, STRANGER, allocation(9, "eve", code="cg1"))
    assert squatted.state == "done"
    taken = send(
        site, PORTAL, allocation(9, "ann").replace("resource: one", "resource: two"), "own.yaml"
    )
    assert taken.state == "done"
    assert "second/member/cf/ann" in site.second.rows
    assert send(site, STRANGER, allocation(9, "eve", code="cg1"), "again.yaml").state == "refused"
    assert now(site, taken).state == "done"


def test_what_was_refused_makes_nobody_an_owner(site: Site) -> None:
    send(site, OPERATOR, allocation(1, "ann"))
    send(site, SECOND, allocation(1, "eve"), "first.yaml")
    assert send(site, SECOND, allocation(1, "eve"), "second.yaml").state == "refused"


def test_without_rules_the_staging_group_shares_its_subjects(tmp_path: Path) -> None:
    site = Site(tmp_path, "staging_group: nogroup\n")
    send(site, 0, allocation(1, "ann"))
    assert send(site, 65534, allocation(1, "bob"), "other.yaml").state == "done"


def test_what_nobody_asked_for_is_not_closed_beforehand(site: Site) -> None:
    refused = send(site, SECOND, allocation(7, verb="suspend"), "squat.yaml")
    assert refused.state == "refused"
    assert "nobody has asked for it yet" in why(refused)
    send(site, OPERATOR, allocation(7, "ann"))
    assert "first/member/cf/ann" in site.first.rows


def test_whose_request_waits_for_a_release_may_suspend_what_it_asks_for(tmp_path: Path) -> None:
    reviewed = RULES.replace(
        '{who: [uid-4713], actions: ["allocation.*", "membership.*"]}',
        "{who: [uid-4713], actions: [allocation.provision], review: true}\n"
        "  - {who: [uid-4713], actions: [allocation.suspend]}",
    )
    site = Site(tmp_path, reviewed)
    assert send(site, SECOND, allocation(7, "ann"), "asked.yaml").state == "held"
    assert send(site, SECOND, allocation(7, verb="suspend"), "closed.yaml").state == "done"


OWN_AND_PORTALS = """\
policy:
  rules:
  - {who: [uid-4713], actions: ["allocation.*", "project.*", "membership.*"], files: 10}
  - {who: [uid-4713], actions: [allocation.provision], review: true}
  - {who: [uid-4711], actions: ["*"], others: true}
"""
NEWER, OLDER = "order: {key: k, number: 9}\n", "order: {key: k, number: 1}\n"
BEFOREHAND = {
    "nothing": ([], "refused"),
    "an older order": ([allocation(7, "eve", head=NEWER), allocation(1, head=OLDER)], "refused"),
    "one that nobody released": ([allocation(1, "eve", files=50)], "refused"),
    "one for another day": ([allocation(1, head="not_before: 2126-01-01T00:00:00Z\n")], "refused"),
    "one that was refused": ([allocation(1, "eve").replace("one", "three")], "refused"),
    "one that was done": ([allocation(1, "eve")], "done"),
}


@pytest.mark.parametrize("late", ["suspend", "remove", "provision"])
@pytest.mark.parametrize("early", BEFOREHAND)
def test_only_who_really_had_a_subject_keeps_it_beside_who_made_it_later(
    tmp_path: Path, early: str, late: str
) -> None:
    site = Site(tmp_path, OWN_AND_PORTALS)
    sent, state = BEFOREHAND[early]
    for number, text in enumerate(sent):
        send(site, SECOND, text, f"early-{number}.yaml")
    assert send(site, PORTAL, allocation(1, "ann, bob"), "own.yaml").state == "done"
    text = {
        "suspend": allocation(1, verb="suspend"),
        "remove": membership(1, "ann", "remove"),
        "provision": allocation(1, "eve"),
    }[late]
    assert send(site, SECOND, text, "late.yaml").state == state
    assert ("first/member/cf/ann" in site.first.rows) is (state == "refused" or late == "suspend")


def test_who_archives_a_project_beforehand_does_not_own_it(tmp_path: Path) -> None:
    site = Site(tmp_path, OWN_AND_PORTALS, LOWERED)
    send(site, SECOND, project("m90", "", "archive"), "early.yaml")
    assert send(site, PORTAL, project("m90", "ann"), "own.yaml").state == "done"
    refused = send(site, SECOND, project("m90", "", "archive"), "late.yaml")
    assert (refused.state, "it is uid-4711's" in why(refused)) == ("refused", True)
    assert "first/member/m90/ann" in site.first.rows


def test_a_parent_account_is_named_as_any(site: Site) -> None:
    parent = allocation(5, "ann", code="cg1") + "  slurm: {parent: cf}\n"
    assert send(site, STRANGER, parent).state == "refused"


def project(code: str, user: str, verb: str = "provision") -> str:
    """Write a project request."""
    users = f", users: [{user}]" if verb == "provision" else ""
    return f"provisioner: 1\naction: project.{verb}\nproject: {{code: {code}{users}}}\n"


LOWERED = CONFIG.replace(
    "  project.provision: []\n",
    "  project.provision:\n"
    "    - {name: members, handler: first, each: user,\n"
    '       with: {account: "{{ project.code | lower }}", user: "{{ user }}"}}\n',
)
OWNERS = """\
policy:
  rules:
  - {who: [uid-4713, uid-4714], actions: ["project.*"], projects: ["m*"]}
"""


@pytest.mark.parametrize(("first", "second"), [("m90", "M90"), ("M90", "m90"), ("m90", "m90")])
def test_a_project_is_whose_it_is_in_whatever_letters(
    tmp_path: Path, first: str, second: str
) -> None:
    site = Site(tmp_path, OWNERS, LOWERED)
    assert send(site, SECOND, project(first, "ann"), "own.yaml").state == "done"
    refused = send(site, STRANGER, project(second, "eve"), "theirs.yaml")
    assert (refused.state, "it is uid-4713's" in why(refused)) == ("refused", True)
    assert set(site.first.rows) == {"first/member/m90/ann"}


# Numbers.

NUMBERED = """\
policy:
  rules:
  - {who: [uid-4714], actions: ["*.provision", "membership.add"], projects: ["l*"]}
  - {who: [uid-4713], actions: ["*.provision"]}
  - {who: [uid-4712], actions: ["*.provision"], others: true, numbers: true}
"""


def numbered(key: str) -> str:
    """Write a request that gives a number."""
    head, _, tail = key.partition(".")
    if head == "user":
        return user("lx1").replace("lx1", f"lx1, groups: [l1], {tail}: 30000")
    if head == "project":
        return f"provisioner: 1\naction: project.provision\nproject: {{code: l1, {tail}: 30000}}\n"
    return allocation(1, "ann", code="l1").replace("code: l1", "code: l1, gid: 30000")


@pytest.mark.parametrize("key", ["user.gid", "user.uid", "project.gid", "allocation.project.gid"])
@pytest.mark.parametrize(
    ("uid", "state"),
    [(STRANGER, "refused"), (SECOND, "refused"), (OPERATOR, "done"), (0, "done")],
    ids=["projects", "no line", "numbers", "root"],
)
def test_a_number_is_given_by_whom_a_rule_lets(
    tmp_path: Path, uid: int, state: str, key: str
) -> None:
    sent = send(Site(tmp_path, NUMBERED), uid, numbered(key))
    assert (sent.state == "refused") is (state == "refused"), why(sent)
    assert ("may not give numbers" in why(sent)) is (state == "refused")


def test_without_rules_the_staging_group_gives_numbers(tmp_path: Path) -> None:
    assert (
        send(Site(tmp_path, "staging_group: nogroup\n"), 65534, numbered("user.uid")).state
        == "done"
    )


ROUTE = "  project.provision:\n    - {name: group, handler: first, with: {account: cf}}\n"


def test_a_project_is_not_archived_by_its_code_in_other_letters_and_that_is_said(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path, text=CONFIG.replace("  project.provision: []\n", ROUTE))
    project = "provisioner: 1\naction: project.{}\nproject: {{code: {}}}\n"
    send(site, 0, project.format("provision", "CF"), "made.yaml")
    other = send(site, 0, project.format("archive", "cf"), "other.yaml")
    assert other.state == "failed"
    assert why(other) == "nothing is claimed for project:cf, but there is project:CF"
    assert send(site, 0, project.format("archive", "CF"), "same.yaml").state == "done"
