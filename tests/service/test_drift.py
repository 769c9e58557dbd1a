"""Drift in the sandbox's backends: found by schedule or by hand, repaired, and told."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from provisioner.config import schema
from provisioner.inspection.rounds import SOON
from provisioner.journal.figures.drift import Look
from provisioner.notify import summing
from provisioner.service import Service
from provisioner.spool.spool import Spool
from provisioner.wiring import System, build
from tests.support import behind
from tests.support.cli_site import Desk, of_user, served

DAY = 86400.0
GROUP = "CN=cf0003,OU=groups,DC=campus,DC=test"
REPAIRING = "service: sandbox\ndrift: {repair: true}\n"

EVERY = {
    "slurm-a/assoc/cf0003/jdoe",
    "ad/account/jdoe",
    "lds/account/jdoe",
    "fs1/fileset/cf0003",
    "homes/home/jdoe",
    "groups/member/cf0003/jdoe",
}


def spoil(root: Path) -> None:
    """Change something in every backend, as other programs and people do."""
    behind.slurm_limit(root, "jdoe", "cf0003", "maxjobs=99")
    behind.disabled(root, "jdoe")
    behind.attribute(root, "lds", "cn=jdoe,OU=people,DC=hpc,DC=test", "loginShell", "/bin/false")
    behind.quota(root, "cf0003", "1G")
    behind.home_mode(root, "jdoe", 0o777)
    behind.attribute(root, "ad", GROUP, "member", "CN=asmith,OU=people,DC=campus,DC=test")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A sandbox in which all samples were served, and that repairs drift."""
    made = served(tmp_path / "site")
    made.set("service: sandbox\n", REPAIRING)
    return made


@pytest.fixture
def collector(desk: Desk) -> Iterator[None]:
    """Let Python collect garbage as it does by itself, once the samples are served."""
    before = gc.get_threshold()
    gc.set_threshold(700)
    yield
    gc.set_threshold(*before)


def system(desk: Desk) -> System:
    return build(schema.load(desk.config))


def walk(desk: Desk, now: float) -> dict[str, Look]:
    """Walk one round, and serve what it asked for; return the looks, by handler."""
    site = system(desk)
    with closing(Spool.open(site.config.spool)) as spool:
        service = Service(site, spool)
        service.recover()
        looks = {look.instance: look for look in service.house.reporter.rounds.walk(now)}
        service.drain(6)
    site.journal.close()
    return looks


def differing(looks: dict[str, Look]) -> set[str]:
    return {key for look in looks.values() for key in look.differing}


def newest(desk: Desk) -> Any:
    [ended] = desk("queue", "--ended", "1", "--json").json["ended"]
    return ended


def test_drift_in_every_backend_is_found_and_repaired(desk: Desk) -> None:
    now = time.time()
    assert differing(walk(desk, now)) == set()
    spoil(desk.root)
    assert differing(walk(desk, now + DAY)) == EVERY
    request = newest(desk)
    assert (request["action"], request["state"]) == ("reconcile", "done")
    assert desk("drift").out == "0 objects would be changed\n"
    assert differing(walk(desk, now + DAY + SOON)) == set()
    audit = desk("audit", "show").out
    assert "drift found" in audit
    assert "slurm-a: 1 object: slurm-a/assoc/cf0003/jdoe" in audit
    assert "slurm-a: 1 object as wanted again" in audit
    with system(desk).journal.reading() as conn:
        told = {
            row["handler"]: row
            for row in summing.digest_facts(conn, lambda _: [], now, now)["drift"]
        }
    assert told["slurm-a"] == {
        "handler": "slurm-a", "found": 1, "repaired": 1, "differing": 0, "error": "",
    }  # fmt: skip


def test_an_operator_repairs_by_hand_after_seeing_what_differs(desk: Desk) -> None:
    spoil(desk.root)
    shown = desk("drift", "slurm-a", "--repair", code=1)
    assert "slurm-a/assoc/cf0003/jdoe" in shown.out
    assert "fs1/fileset" not in shown.out
    assert "nothing was repaired; to repair it, add --yes" in shown.err
    done = desk("drift", "slurm-a", "fs1", "--repair", "--yes", "--reason", "ticket 9")
    assert "2 objects would be changed" in done.out
    desk.drain()
    request = newest(desk)
    assert request["state"] == "done"
    assert "ticket 9" in desk("show", str(request["id"])).out
    assert set(left(desk)) == EVERY - {"slurm-a/assoc/cf0003/jdoe", "fs1/fileset/cf0003"}


def left(desk: Desk) -> list[str]:
    return [row["object"] for row in desk("drift", "--json", code=1).json["changes"]]


def test_who_would_lose_something_is_named_before(desk: Desk) -> None:
    desk.set("repair: true", "most_removed: 0")
    desk.serve(of_user("suspend", "jdoe"))
    behind.disabled(desk.root, "jdoe", control="512")
    shown = desk("drift", "ad", "--repair", code=1)
    assert "would be closed or removed:" in shown.out
    assert "1 would lose what they should not have: jdoe; that is more than 0" in shown.out
    assert "it waits for a release" in shown.out
    desk("drift", "ad", "--repair", "--yes")
    desk.drain()
    assert "would close or remove what 1 person can use now" in desk("queue").out


def test_nothing_to_repair_ends_well(desk: Desk) -> None:
    assert desk("drift", "--repair").out == "0 objects would be changed\n"
    assert list((desk.spool / "staging").iterdir()) == []


def test_a_handler_that_there_is_not_is_named(desk: Desk) -> None:
    assert "there is no handler 'slrum-a'" in desk("drift", "slrum-a", code=None).err


def test_nothing_is_repaired_while_the_service_only_observes(desk: Desk) -> None:
    spoil(desk.root)
    desk.set("service: sandbox\n", "service: sandbox\nmode: observe\n")
    desk("run", "--drain", code=None)
    refused = desk("drift", "--repair", "--yes", code=None)
    assert refused.code == 3
    assert "nothing is repaired while the service only observes" in refused.err
    assert "provisioner journal release" in refused.err


def test_a_name_in_the_schedule_that_there_is_not_is_told(desk: Desk) -> None:
    desk.set("drift: {repair: true}", "drift:\n  every: {slrum-a: 20, slurm: 5, fs1: 60}")
    told = desk("config", "check", code=None)
    assert told.code != 0
    assert "there is no handler, lane or kind 'slrum-a'" in told.out + told.err
    assert "did you mean 'slurm-a'?" in told.out + told.err


def test_a_service_that_takes_signed_requests_alone_does_not_repair_by_itself(desk: Desk) -> None:
    signers = desk.file("signers", "")
    more = f"policy: {{signatures: {{allowed_signers: {signers}, required: true}}}}\n"
    desk.set(REPAIRING, REPAIRING + more)
    told = desk("config", "check", code=None)
    assert told.code != 0
    assert "the service does not sign its own requests" in told.out + told.err


def test_slurm_is_looked_at_every_20_minutes_and_all_else_daily(desk: Desk) -> None:
    now = time.time()
    assert len(walk(desk, now)) == 8
    assert set(walk(desk, now + 1200)) == {"slurm-a", "slurm-b"}
    assert len(walk(desk, now + DAY)) == 8


@pytest.mark.parametrize(
    "look", [lambda desk: desk("drift"), system], ids=["the verb", "the service"]
)
@pytest.mark.usefixtures("collector")
def test_who_reads_the_backends_looks_for_garbage_once_in_thousands_of_objects(
    desk: Desk, look: Callable[[Desk], object]
) -> None:
    look(desk)
    assert gc.get_threshold()[0] >= 10_000
