"""A journal in PostgreSQL is lost, and brought back by the commands of docs/recovery.md."""

from __future__ import annotations

import gc
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from provisioner.journal import facts
from provisioner.recovery.rebuilding.rebuild import rebuild
from provisioner.spool.spool import Spool
from tests.support import databases
from tests.support.apart_site import Apart
from tests.support.cli_site import Desk, user
from tests.support.engine_site import allocation

pytestmark = pytest.mark.lab

PAGE = Path(__file__).parents[2] / "docs/recovery.md"
NAME = "centre"


def commands() -> list[str]:
    """Return what the page says to type, in order."""
    [part] = re.findall(
        r"(?ms)^## The journal is in PostgreSQL\n(.*?)(?=^\| |^## )", PAGE.read_text()
    )
    return re.findall(r"`((?:systemctl|pg_restore|provisioner) [^`]+)`", part)


def restore(address: str, copy: Path) -> None:
    """Restore a copy as the page says."""
    [command] = [one for one in commands() if one.startswith("pg_restore")]
    words = {"ADDRESS": shlex.quote(address), "FILE": shlex.quote(str(copy))}
    typed = re.sub("|".join(words), lambda found: words[found[0]], command)
    subprocess.run(shlex.split(typed), check=True)


def ask(statement: str) -> None:
    with psycopg.connect(databases.cluster().address, autocommit=True) as conn:
        conn.execute(statement.encode())


def lose() -> None:
    """Lose the database, and make an empty one, as a site does."""
    gc.collect()  # as if all processes had ended
    ask(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    ask(f"CREATE DATABASE {NAME} TEMPLATE template0")


@pytest.fixture
def address() -> Iterator[str]:
    """Give the address of a database whose first schema is `public`, as it is by default."""
    lose()
    yield databases.cluster().address.replace("template1", NAME)
    ask(f"DROP DATABASE {NAME} WITH (FORCE)")


def test_the_page_brings_a_lost_journal_back_to_its_last_transaction(
    tmp_path: Path, address: str
) -> None:
    desk = Desk(tmp_path / "site")
    desk.set("journal: journal/journal.db", f"journal: {address}")
    (desk.spool / "journal").unlink(missing_ok=True)
    desk("init")
    asked = [desk.serve(user("ann"))]
    copy = Path(desk("backup").out.partition(": complete")[0])
    gc.collect()  # as if the process had ended
    asked.append(desk.serve(user("bob")))
    assert len(set(asked)) == 2
    lose()

    stop, _, again, *look = commands()
    assert (stop, again) == ("systemctl stop 'provisioner*'", "provisioner journal rebuild")
    restore(address, copy)
    assert "transactions of the redo log" in desk("journal", "rebuild").out
    desk("run", "--drain", "--patience", "1")
    assert look == ["provisioner drift", "provisioner journal release --changes N"]
    assert desk("drift").out.startswith("0 objects")
    desk("journal", "release", "--changes", "0", "--reason", "seen by me")
    gc.collect()
    desk("run", "--drain")
    assert [desk.show(one)["state"] for one in asked] == ["done", "done"]
    desk("audit", "verify")


def test_without_a_log_what_came_after_the_copy_is_named_and_can_be_sent_again(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "on_server", lambda text, _: text.replace("journal.db", address))
    site = Apart(tmp_path)
    site.request(allocation(1, code="one"), "one.yaml")
    copy = site.service.house.copier.copy()
    site.request(allocation(2, code="two"), "two.yaml")
    site.near.die()
    site.die()
    lose()

    restore(address, copy)
    with closing(Spool.open(site.config.spool)) as spool:
        made = rebuild(site.config, spool, copy=None, empty=False)
    [late] = made.unknown
    [file] = [path for path in late.parent.glob(f"{late.name}-*") if "result" not in path.name]
    assert (made.redone, file.name.partition("-")[2]) == (0, "two.yaml")
    site.start()
    site.replace_lanes()
    with site.system.journal.reading() as conn:
        assert "was rebuilt" in (facts.get(conn, facts.OBSERVING) or "")
    file.rename(site.spool.staging / "two.yaml")
    site.take()
    site.drain()
    assert site.open() == []


def test_a_restored_journal_is_served_by_nobody_until_it_is_rebuilt(
    tmp_path: Path, address: str
) -> None:
    desk = Desk(tmp_path / "site")
    desk.set("journal: journal/journal.db", f"journal: {address}")
    desk("init")
    desk.serve(user("ann"))
    copy = Path(desk("backup").out.partition(": complete")[0])
    gc.collect()
    lose()
    restore(address, copy)  # the newest copy, and nothing came after it
    lane = min(json.loads(desk("queue", "--json").out)["lanes"])
    for role in ((), ("--intake",), ("--lanes", lane), ("--all",)):
        refused = desk("run", *role, code=4)
        assert "was restored from a copy" in refused.err, role
        assert "provisioner journal rebuild" in refused.err
    desk("journal", "rebuild")
    gc.collect()
    desk("run", "--drain", "--patience", "1")
    with psycopg.connect(address) as conn:
        [(why,)] = conn.execute("SELECT value FROM marks WHERE name = 'observing'").fetchall()
    assert "was rebuilt" in why
    gc.collect()
    assert "intact" in desk("journal", "rebuild", code=4).err


def test_what_the_server_itself_moves_is_no_restored_copy(tmp_path: Path, address: str) -> None:
    desk = Desk(tmp_path / "site")
    desk.set("journal: journal/journal.db", f"journal: {address}")
    desk("init")
    desk.serve(user("ann"))
    gc.collect()
    with psycopg.connect(address, autocommit=True) as conn:
        for statement in ("VACUUM FREEZE marks", "VACUUM FULL", "REINDEX TABLE marks"):
            conn.execute(statement)
    desk.serve(user("bob"))
