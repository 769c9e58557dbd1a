"""Who may ask for nothing costs nothing, and is told nothing but that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioner.journal.records.request_rows import Record
from tests.support.engine_site import Site, allocation, control
from tests.support.policy_site import send, told, why

PORTAL, STRANGER, LIMITED = 4711, 4714, 4715
RULES = """\
policy:
  rules:
  - {who: [uid-4711], actions: ["*"], others: true}
  - {who: [uid-4715], actions: [allocation.*], resources: [one], files: 10}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, RULES)


def manifest(**named: Any) -> str:
    """Write a request that names a companion file."""
    named = {"file": "big.jsonl", "size": 5, "sha256": "0" * 64, **named}
    return json.dumps({"provisioner": 1, "action": "reconcile", "manifest": named})


ELSEWHERE = allocation(1).replace("resource: one", "resource: nowhere")
WRONG_PARAMETER = allocation(1, code="CF_1")
ASKED: dict[str, tuple[int, str]] = {
    "a manifest that is not there": (STRANGER, manifest()),
    "a manifest with another name": (STRANGER, manifest(file="big.txt")),
    "a resource that is not there": (STRANGER, ELSEWHERE),
    "a parameter that no handler takes": (STRANGER, WRONG_PARAMETER),
    "a request that is not there": (STRANGER, control("request.cancel", "portal-1")),
    "a lane that is not there": (STRANGER, control("lane.pause", "nowhere")),
    "what came too late": (STRANGER, allocation(1, head="expires: 2001-01-01T00:00:00Z\n")),
    "another action": (LIMITED, manifest()),
    "another resource": (LIMITED, ELSEWHERE),
    "too much": (LIMITED, allocation(1, files=11, code="CF_1")),
}


@pytest.mark.parametrize("what", ASKED)
def test_a_refusal_by_policy_tells_nothing_besides(site: Site, what: str) -> None:
    uid, text = ASKED[what]
    refused = send(site, uid, text)
    assert refused.state == "refused"
    assert len(refused.problems or ()) == 1
    assert "may not ask for" in why(refused) or "is more than" in why(refused)
    assert [text for _, text in told(site, refused, "alarm")] == [why(refused)]


def test_a_file_that_is_named_is_not_read_for_who_may_not_ask(site: Site) -> None:
    """What is read and judged is taken from staging, be it refused."""
    companion = site.spool.staging / "big.jsonl"
    companion.write_bytes(b"{}\n")
    companion.chmod(0o600)
    send(site, STRANGER, manifest())
    assert companion.exists()


def test_an_own_id_is_not_looked_up_for_who_may_not_ask(site: Site) -> None:
    first = send(site, PORTAL, allocation(1, head="id: p-1\n"))
    rules = "uid-4711], actions"
    again = without(site, rules, allocation(1, head="id: p-1\n"))
    other = without(site, rules, allocation(2, head="id: p-1\n"))
    for refused in (again, other):
        assert refused.state == "refused"
        assert "may not ask for" in why(refused)
    assert first.id not in why(again) + why(other)


def without(site: Site, rule: str, text: str) -> Record:
    """Send what the portal asks for while the rule that allows it is another's."""
    path = site.root / "provisioner.yaml"
    before = path.read_text()
    path.write_text(before.replace(rule, rule.replace("4711", "4799")))
    restart(site)
    found = send(site, PORTAL, text)
    path.write_text(before)
    restart(site)
    return found


def restart(site: Site) -> None:
    from provisioner.config.schema import load

    site.config = load(site.root / "provisioner.yaml")
    site.spool.close()
    site.system.journal.close()
    site.start()


def test_what_was_accepted_is_known_after_the_same_was_refused_by_policy(site: Site) -> None:
    text = allocation(1, head="id: p-1\n")
    first = send(site, PORTAL, text)
    without(site, "uid-4711], actions", text)
    again = send(site, PORTAL, text)
    assert why(again) == f"the same request as {first.id}, which is done"


def test_what_only_the_journal_can_tell_is_looked_up(site: Site) -> None:
    """The rule is for one resource, and the request names none: its allocation's counts."""
    send(site, LIMITED, allocation(1, "ann"))
    suspend = "provisioner: 1\naction: allocation.suspend\nallocation: {id: 1}\n"
    assert send(site, LIMITED, suspend).state == "done"
