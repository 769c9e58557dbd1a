"""Writing files from the templates in files/, making data, and running programs."""

from __future__ import annotations

import os
import shutil
import string
import subprocess
from collections.abc import Mapping
from pathlib import Path


def fill(template: str, target: Path, values: Mapping[str, object], mode: int = 0o644) -> None:
    """Write a file from files/TEMPLATE; every $name in it must be among the values."""
    text = (Path(__file__).with_name("files") / template).read_text()
    target.unlink(missing_ok=True)
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as out:
        os.fchmod(out.fileno(), mode)
        out.write(string.Template(text).substitute(values))


def begin(data: Path) -> bool:
    """Say whether a daemon's data must be made; what an earlier attempt left undone is cleared."""
    if _mark(data).exists():
        return False
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    return True


def finish(data: Path) -> None:
    """Note that a daemon's data are made."""
    _mark(data).touch()


def _mark(data: Path) -> Path:
    return data.with_name(f"{data.name}.made")


def run(
    *command: str, environment: Mapping[str, str] | None = None, stdin: str | None = None
) -> str:
    """Run a program and give what it printed. Raises CalledProcessError, which holds its words."""
    done = subprocess.run(
        command, check=True, text=True, env=environment, input=stdin or "",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout
