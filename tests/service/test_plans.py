"""A journal of many years accepts a request as fast as a new one: no table is read whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.engine_site import Site, allocation, membership, user
from tests.support.manifest_site import POLICY, entry, reconcile

pytestmark = pytest.mark.sqlite

LARGE = ("requests", "claims", "steps", "step_objects", "events", "objects", "words", "told")
"""Tables that grow with the years."""

OF_A_WRITER = "requests_writer_id (writer=?)"
IN_A_STATE = "requests_state ("
"""What is found by these alone grows as well: all of a writer, and all that are over."""

OVER = ("'done'", "'failed'", "'refused'", "'superseded'", "'cancelled'")


class Heard:
    """The statements that a site's journal ran, each with its values, and how SQLite runs them."""

    def __init__(self, site: Site) -> None:
        self.statements: set[str] = set()
        with site.system.journal.reading() as conn:
            database: Any = conn.connection.driver_connection
        self.database = database
        database.set_trace_callback(self.statements.add)

    def slow(self) -> list[str]:
        """List the statements that read more of a large table the longer it is."""
        self.database.set_trace_callback(None)
        return [
            f"{line}: {text}"
            for text in self.statements
            if text.startswith(("SELECT", "UPDATE", "DELETE")) and " LIMIT 1" not in text
            for *_, line in self.database.execute(f"EXPLAIN QUERY PLAN {text}")
            if any(line.startswith(f"SCAN {table}") for table in LARGE)
            or OF_A_WRITER in line
            or (IN_A_STATE in line and any(state in text for state in OVER))
        ]


@pytest.mark.parametrize(
    "text",
    [
        user("ann"),
        allocation(1, "ann, bob", head="id: c-2\norder: {key: k, number: 2}\n"),
        membership(1, "cem", "add"),
        membership(1, "bob", "remove"),
        user("ann", "suspend"),
    ],
    ids=["user", "allocation", "member", "leaver", "suspension"],
)
@pytest.mark.parametrize("number", [1, 3], ids=["alone", "several"])
def test_no_table_is_read_whole_for_a_request(tmp_path: Path, text: str, number: int) -> None:
    site = Site(tmp_path)
    site.request(allocation(1, "ann, bob", head="id: c-1\n"), "first.yaml")
    heard = Heard(site)
    for copy in range(number):
        site.drop(text.replace("ann", f"ann{copy}"), f"{copy}.yaml")
    site.take()
    assert heard.slow() == []


def test_no_table_is_read_whole_for_a_manifest(tmp_path: Path) -> None:
    site = Site(tmp_path, POLICY)
    reconcile(site, entry(1, "ann"), entry(2, "bob"))
    heard = Heard(site)
    reconcile(site, entry(1, "ann"), entry(3, "bob", "cem"))
    assert heard.slow() == []
