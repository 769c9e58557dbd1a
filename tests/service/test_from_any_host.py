"""A journal that several processes serve: any host says the same, and steers the same.

The other hosts have the configuration and no spool; one of them has lanes, one no process at all.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support import databases
from tests.support.cli_site import PROGRAM, Desk, Done, call, storage, user
from tests.support.waiting import until

pytestmark = pytest.mark.lab

LEASE = 2.0

FIRST = "directory-campus.test"
"""The lane of what comes first for a user."""

HEARD = "SELECT heard FROM hosts WHERE roles <> 'intake'"


@dataclass
class Centre:
    """An intake and lanes, and the configuration of a host that has no spool."""

    portal: Desk
    address: str
    elsewhere: str

    def __call__(self, *words: str, code: int | None = 0) -> Done:
        """Run a verb on the other host."""
        done = call(*words, config=self.elsewhere)
        assert code is None or done.code == code, f"{done.code}: {done.out}{done.err}"
        return done

    def ask(self, statement: str, *values: object) -> list[Any]:
        with psycopg.connect(self.address) as conn:
            return conn.execute(statement.encode(), values).fetchall()

    def state(self, name: str) -> str:
        return str(self.portal.show(name)["state"])


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    top = tmp_path_factory.mktemp("centre")
    portal, address = Desk(top / "box"), databases.cluster().make()
    portal.set("journal: journal/journal.db", f"journal: {address}\nroles: {{lease: {LEASE}}}")
    (portal.spool / "journal").unlink(missing_ok=True)
    portal("init")
    elsewhere = portal.root / "elsewhere.yaml"
    elsewhere.write_text(portal.config.read_text().replace("spool: spool", "spool: nowhere"))
    assert "nowhere" in elsewhere.read_text()
    lanes = ",".join(sorted(portal("queue", "--json").json["lanes"]))
    running = []
    try:
        for config, words in (
            (portal.config, ["--intake"]),
            (elsewhere, ["--lanes", lanes]),
        ):
            environment = {**os.environ, "PROVISIONER_CONFIG": str(config)}
            running.append(
                subprocess.Popen(
                    [*PROGRAM, "run", *words], env=environment, stderr=subprocess.PIPE, text=True
                )
            )
        made = Centre(portal, address, str(elsewhere))

        def serve() -> bool:
            for process in running:
                assert process.poll() is None, process.communicate()[1]
            time.sleep(0.2)
            # All lanes, and the house.
            held = made.ask("SELECT lane FROM holds WHERE host IS NOT NULL")
            return len(held) == lanes.count(",") + 2 and len(made.ask("SELECT 1 FROM hosts")) == 2

        until(serve, "all to be served")
        yield made
    finally:
        for process in running:
            process.terminate()
        said = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said


def told(centre: Centre, verb: str) -> list[list[str]]:
    """Return the lines about hosts that a verb prints on each of both."""
    return [
        [line.strip() for line in one(verb, code=None).out.splitlines() if "; drains " in line]
        for one in (centre.portal, centre)
    ]


def test_both_say_who_serves_what_since_when(centre: Centre) -> None:
    here, there = (one("queue", "--json").json for one in (centre.portal, centre))
    assert [host["roles"].partition(" ")[0] for host in here["hosts"]] == ["intake", "lanes"]
    for host in (*here["hosts"], *there["hosts"]):
        del host["heard"]
    assert here["hosts"] == there["hosts"]
    assert here["lanes"] == there["lanes"]
    assert {row["host"] for row in here["lanes"].values()} == {os.uname().nodename}
    assert there["trouble"] == ""


@pytest.mark.parametrize("verb", ["queue", "status", "doctor"])
def test_both_print_the_same_of_who_serves_what(centre: Centre, verb: str) -> None:
    def same() -> bool:  # on a busy machine one of them may not be heard for a moment
        here, there = told(centre, verb)
        return len(here) == 2 and here == there

    until(same, f"{verb} prints the same of both hosts", every=0.2)


def test_both_tell_prometheus_the_same(centre: Centre) -> None:
    here, there = (one("metrics").out for one in (centre.portal, centre))
    for text in (here, there):
        assert "provisioner_intakes 1.0" in text
        assert (
            f'provisioner_lane_host_info{{host="{os.uname().nodename}",lane="slurm"}} 1.0' in text
        )
        assert 'provisioner_lane_served{lane="slurm"} 1.0' in text
    names = [{line.split(" ")[0] for line in text.splitlines()} for text in (here, there)]
    assert names[0] == names[1]


def test_health_counts_hosts_and_lanes(centre: Centre) -> None:
    assert "hosts=2;;;0 missing=0;1;;0 unserved=0;;1;0" in centre("health").out


def pause(centre: Centre) -> None:
    """Let everything that needs an account wait."""
    centre("pause", FIRST, "--wait", "--reason", "ticket 8")
    # Lanes follow after a beat: the first that is seen may have been asked for before.
    heard: set[float] = set()

    def beats() -> int:
        heard.update(*centre.ask(HEARD))
        return len(heard) - 1

    until(lambda: beats() >= 2, "two beats", every=0.05)


@pytest.fixture
def paused(centre: Centre) -> Iterator[None]:
    pause(centre)
    yield
    centre("unpause", FIRST, "--wait")


def waiting(centre: Centre, name: str) -> str:
    """Have a request wait for the paused lane; return its id."""
    sent = centre("submit", centre.portal.file(f"{name}.yaml", user(name)))
    assert f"dropped as {name}-{os.uname().nodename}-" in sent.out
    until(
        lambda: bool(centre.ask("SELECT 1 FROM requests WHERE subject = %s", f"user:{name}")), "it"
    )
    [(own,)] = centre.ask("SELECT id FROM requests WHERE subject = %s", f"user:{name}")
    assert centre.state(own) == "accepted"
    return str(own)


@pytest.mark.usefixtures("paused")
def test_what_waits_is_held_released_and_cancelled_from_another_host(centre: Centre) -> None:
    own = waiting(centre, "ann")
    for verb, state in (("hold", "held"), ("release", "accepted"), ("cancel", "cancelled")):
        centre(verb, own, "--wait")
        assert centre.state(own) == state, verb
    assert "cancelled" in centre("show", own).out


def test_what_failed_is_tried_again_from_another_host(centre: Centre) -> None:
    pause(centre)
    own = waiting(centre, "bob")
    centre("cancel", own, "--wait")
    centre("unpause", FIRST, "--wait")
    assert "done" in centre("retry", own, "--wait").out
    assert centre.state(own) == "done"


def test_a_paused_lane_is_paused_by_a_person_for_everybody(centre: Centre) -> None:
    centre("pause", "slurm", "--wait")
    assert "lane slurm is paused" in centre("health", code=1).out
    assert centre.portal("queue", "--json").json["lanes"]["slurm"]["paused_by"]
    centre("unpause", "slurm", "--wait")


def test_a_request_with_a_file_beside_it_is_refused_with_where_to_send_it(
    centre: Centre, tmp_path: Path
) -> None:
    listed = f"users_file: {{file: 43.users, size: 4, sha256: {'0' * 64}}}"
    text = storage().replace("users: [jdoe]", listed)
    assert listed in text
    said = centre("submit", centre.portal.file("listed.yaml", text), code=4).err
    assert "a list of users beside it" in said and "on the host of the intake" in said


def test_where_no_host_takes_requests_nothing_is_handed_on(tmp_path: Path) -> None:
    alone = Desk(tmp_path / "box")
    alone.set("journal: journal/journal.db", f"journal: {databases.cluster().make()}")
    (alone.spool / "journal").unlink(missing_ok=True)
    alone("init")
    alone.set("spool: spool", "spool: nowhere")
    said = alone("pause", "slurm", code=4).err
    assert "no host takes requests" in said and "start the intake" in said


HERE = os.uname().nodename

NOW = "extract(epoch FROM clock_timestamp())"

ROLES: dict[str, tuple[list[tuple[str, str]], set[str], set[str]]] = {
    "lanes alone": (
        [("portal", "intake"), (HERE, "lanes slurm")],
        {"slurm-a", "slurm-b"},
        {"spool", "secret ad", "ad", "fs1"},
    ),
    "an intake, which looks at all backends if it keeps house": (
        [(HERE, "intake"), ("near", "lanes slurm")],
        {"spool", "secret ad", "ad", "slurm-a", "fs1"},
        set(),
    ),
    "no process, but the configuration": (
        [("portal", "intake"), ("near", "lanes slurm")],
        {"configuration", "hosts"},
        {"spool", "secret ad", "ad", "slurm-a", "fs1"},
    ),
}


@pytest.mark.parametrize(("hosts", "asked", "not_asked"), ROLES.values(), ids=ROLES)
def test_doctor_asks_a_host_for_what_its_own_roles_need(
    tmp_path: Path, hosts: list[tuple[str, str]], asked: set[str], not_asked: set[str]
) -> None:
    desk, address = Desk(tmp_path / "box"), databases.cluster().make()
    desk.set("journal: journal/journal.db", f"journal: {address}\nsecrets: {{ad: /no/such/file}}")
    desk.set("    use: ad_account\n", "    use: ad_account\n    password: ad\n    bind_dn: CN=x\n")
    (desk.spool / "journal").unlink(missing_ok=True)
    desk("init")
    if (HERE, "intake") not in hosts and hosts:
        desk.set("spool: spool", "spool: nowhere")
    with psycopg.connect(address) as conn:
        for name, roles in hosts:
            values = [name, roles.replace("AD", "directory-campus.test")]
            conn.execute(
                f"INSERT INTO hosts VALUES (%s, %s, '1', {NOW}, {NOW}, 0)".encode(), values
            )
    findings = desk("doctor", "--json", code=None).json
    subjects = {each["subject"].partition(":")[0] for each in findings}
    assert asked <= subjects
    assert not not_asked & subjects
