"""The database on which tests of the engine run: SQLite, or what JOURNAL_ON names.

Promises: JOURNAL_ON=postgresql gives each site a journal in PostgreSQL, on one server that this
process starts at its first use, and ends with itself. Leaves out: tests that are about files.
"""

from __future__ import annotations

import atexit
import os
import re
import sqlite3
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import yaml

from tests.support.clusters import Cluster, serving

ON = os.environ.get("JOURNAL_ON", "sqlite")
if ON not in ("sqlite", "postgresql"):
    raise RuntimeError(f"JOURNAL_ON={ON}: expected sqlite or postgresql")


@cache
def cluster() -> Cluster:
    """Serve a PostgreSQL; not below pytest's own directory, into which its user may not look."""
    stack = ExitStack()
    atexit.register(stack.close)
    top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="provisioner-pg.")))
    top.chmod(0o755)
    return stack.enter_context(serving(top / "cluster"))


def placed(text: str, root: Path) -> str:
    """Return the text of a site's configuration with its journal in the chosen database.

    root: the site's directory, which has the same journal whenever it is asked for.
    """
    return text if ON == "sqlite" else on_server(text, root)


def on_server(text: str, root: Path) -> str:
    """Return the text of a site's configuration with its journal in PostgreSQL."""
    return re.sub(r"(?m)^journal: (?!postgresql:).*$", f"journal: {cluster().of(str(root))}", text)


def ask(root: Path, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Ask the journal of a site for rows, whichever database it is in. statement: with `?`."""
    place = _place(root)
    if place.startswith("postgresql:"):
        with psycopg.connect(place) as conn:
            return conn.execute(statement.replace("?", "%s").encode(), values).fetchall()
    with closing(sqlite3.connect(root / place, timeout=30)) as journal:
        return journal.execute(statement, values).fetchall()


def kept(root: Path) -> str:
    """Return what a site's journal on a server has, as SQL; '' for a file, which is in its root."""
    place = _place(root)
    if not place.startswith("postgresql:"):
        return ""
    words = ["pg_dump", f"--dbname={place}", f"--schema={_schema(place)}"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def set_back(root: Path, text: str) -> None:
    """Give a site's journal on a server what it had, as if nothing had been done since: nothing
    tells that it was restored from a copy."""
    place = _place(root)
    if not place.startswith("postgresql:"):
        return
    schema = _schema(place)
    again = f"DROP SCHEMA {schema} CASCADE;\n{text}\nDELETE FROM {schema}.marks WHERE name='home';"
    words = ["psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={place}"]
    subprocess.run(words, check=True, input=again, capture_output=True, text=True)


def _place(root: Path) -> str:
    return str(yaml.safe_load((root / "provisioner.yaml").read_text())["journal"])


def _schema(place: str) -> str:
    return place.rpartition("%3D")[2]
