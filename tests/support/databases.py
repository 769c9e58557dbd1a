"""The database on which tests of the engine run: SQLite, or what JOURNAL_ON names.

Promises: JOURNAL_ON=postgresql gives each site a journal in PostgreSQL, on one server that this
process starts at its first use, and ends with itself. Leaves out: tests that are about files.
"""

from __future__ import annotations

import atexit
import os
import re
import tempfile
from contextlib import ExitStack
from functools import cache
from pathlib import Path

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
    if ON == "sqlite":
        return text
    return re.sub(r"(?m)^journal: (?!postgresql:).*$", f"journal: {cluster().of(str(root))}", text)
