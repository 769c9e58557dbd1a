"""A journal of a former version becomes one of today's, a step at a time."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from provisioner.contract import ConfigError
from provisioner.journal.journal import Journal
from provisioner.journal.postgresql.migrations import FIRST, STEPS, migrate
from provisioner.journal.schema import VERSION
from tests.support.clusters import Cluster

pytestmark = pytest.mark.lab


def first(db: Any) -> None:
    db.execute("ALTER TABLE told ADD COLUMN one TEXT")


def second(db: Any) -> None:
    db.execute("ALTER TABLE told ADD COLUMN two TEXT")


def broken(db: Any) -> None:
    second(db)
    raise RuntimeError


def migrated(address: str, *steps: Any) -> int | None:
    with psycopg.connect(address) as conn:
        return migrate(conn, address, steps)


def columns(address: str) -> set[str]:
    asked = b"SELECT attname FROM pg_attribute WHERE attrelid = 'told'::regclass"
    with psycopg.connect(address) as conn:
        return {name for (name,) in conn.execute(asked)} & {"one", "two"}


@pytest.fixture
def address(cluster: Cluster) -> str:
    made = cluster.make()
    Journal.open(made).close()
    with psycopg.connect(made) as conn:
        conn.execute("UPDATE marks SET value = %s WHERE name = 'version'", [str(FIRST)])
    return made


def test_every_version_since_the_first_has_a_step() -> None:
    assert FIRST + len(STEPS) == VERSION


def test_it_takes_the_steps_that_it_lacks_once(address: str) -> None:
    assert [migrated(address, first, second) for _ in range(2)] == [FIRST, None]
    assert columns(address) == {"one", "two"}


def test_one_that_was_interrupted_goes_on(address: str) -> None:
    with pytest.raises(RuntimeError):
        migrated(address, first, broken)
    assert columns(address) == {"one"}
    assert migrated(address, first, second) == FIRST + 1
    assert columns(address) == {"one", "two"}


def test_a_newer_one_is_refused(address: str) -> None:
    migrated(address, first)
    with pytest.raises(ConfigError, match="a newer program wrote it"):
        migrated(address)


def test_an_empty_database_needs_none(cluster: Cluster) -> None:
    assert migrated(cluster.make(), first) is None
