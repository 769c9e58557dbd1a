"""The versions of the programs that figures were measured with."""

from __future__ import annotations

import json
import platform
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path


def versions(lab: Path | None) -> Mapping[str, str]:
    """Return the versions of what runs in this process, and in a lab."""
    own = {
        "Linux": platform.release(),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
    }
    with suppress(metadata.PackageNotFoundError):
        own["ColdFront"] = metadata.version("coldfront")
    if lab is None:
        return own
    there: Mapping[str, str] = json.loads((lab / "lab.json").read_text())["versions"]
    return own | {name.capitalize(): version for name, version in there.items() if version}


def told(all_versions: Iterable[Mapping[str, str]]) -> str:
    """Write the versions of several processes: each program once, with all that it had."""
    found: dict[str, list[str]] = {}
    for each in all_versions:
        for name, version in each.items():
            if version not in found.setdefault(name, []):
                found[name].append(version)
    return "; ".join(f"{name} {', '.join(numbers)}" for name, numbers in found.items())
