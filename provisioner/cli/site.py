"""The configured site, as the verbs need it.

Promises: a verb loads only what it needs, so that dropping a file starts fast; printed text never
controls the terminal, even if a request's writer put control characters into a name. Leaves out:
what the verbs do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from provisioner.contract import ConfigError
from provisioner.spool.submission import label

if TYPE_CHECKING:
    from provisioner.config.schema import Config
    from provisioner.journal.journal import Journal
    from provisioner.wiring import System

DEFAULT = Path("/etc/provisioner/provisioner.yaml")


def path() -> Path:
    """Return where the configuration is: --config, $PROVISIONER_CONFIG, or the default."""
    return Path(os.environ.get("PROVISIONER_CONFIG") or DEFAULT)


@dataclass(frozen=True, slots=True)
class Door:
    """What a writer has to know. signed: the service checks signatures; apart: staging is on
    another host, to which the journal leads."""

    staging: Path
    signed: bool
    signature_required: bool
    apart: bool = False


def staging() -> Path:
    """Return the staging directory."""
    return door().staging


def door() -> Door:
    """Return what a writer has to know; read only that part of the configuration.

    A writer does not need the handlers' settings, and checking them takes time.
    """
    from provisioner.request.documents import InvalidDocument, parse

    file = path()
    try:
        value = parse(file.read_bytes(), size=1 << 20).value
    except OSError as error:
        raise ConfigError(
            f"the configuration {file}: {error.strerror}",
            advice="name the file by --config FILE; `provisioner config example` prints one",
        ) from None
    except InvalidDocument as error:
        raise ConfigError(f"{file} is wrong:\n{error.message}") from None
    spool = value.get("spool") if isinstance(value, dict) else None
    if not isinstance(spool, str):
        raise ConfigError(f"{file} has no `spool`", advice="provisioner config check")
    policy = value.get("policy")
    signatures = policy.get("signatures") if isinstance(policy, dict) else None
    configured = signatures if isinstance(signatures, dict) else {}
    required = str(configured.get("required", "")).lower() in ("true", "yes", "on", "1", "t", "y")
    return Door(file.resolve().parent / spool / "staging", bool(configured), required)


_KEPT: ContextVar[dict[str, Any] | None] = ContextVar("_KEPT", default=None)
"""What is loaded once; None: everything is loaded whenever it is asked for."""


@contextmanager
def kept() -> Iterator[None]:
    """Load the configuration, and build handlers and router, once during the block."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def _once(name: str, make: Callable[[], Any]) -> Any:
    loaded = _KEPT.get()
    if loaded is None:
        return make()
    if name not in loaded:
        loaded[name] = make()
    return loaded[name]


def config() -> Config:
    """Load the configuration from `path`."""
    from provisioner.config.schema import load

    settings: Config = _once("config", lambda: load(path()))
    return settings


def system() -> System:
    """Build handlers and router."""
    from provisioner.wiring import build

    built: System = _once("system", lambda: build(config()))
    return built


def reading() -> System:
    """Build handlers and router, for a verb that reads the journal; check that it is readable."""
    _check_journal(config())
    return system()


def journal(settings: Config) -> Journal:
    """Open the existing journal; a new one would not belong to the service's user."""
    from provisioner.journal.journal import Journal

    _check_journal(settings)
    return Journal.open(settings.journal)


def _check_journal(settings: Config) -> None:
    from provisioner.journal import stored
    from provisioner.recovery import startup

    try:
        startup.check_there(settings.spool, settings.journal)
        if not stored.of(settings.journal).exists():
            message = f"the journal {settings.journal} does not exist"
            raise ConfigError(message, advice="provisioner init")
    except PermissionError as error:
        advice = "only the service's user may read the journal: sudo provisioner ..."
        raise ConfigError(f"{settings.journal}: {error.strerror}", advice=advice) from None


def apart(settings: Config) -> bool:
    """Return True if this host has no spool: others take requests into the journal."""
    return isinstance(settings.journal, str) and not (settings.spool / "staging").exists()


def served_by(spool: Path) -> int | None:
    """Return the id of the process on this host that serves a spool, or None."""
    inodes = set()
    for one in (spool, spool / "hosts" / os.uname().nodename):  # the latter where others share it
        with suppress(OSError):
            inodes.add(str((one / "lock").stat().st_ino))
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return None
    for line in locks.splitlines():
        _, kind, _, _, pid, place, *_ = line.replace("-> ", "").split()
        if kind == "FLOCK" and place.rpartition(":")[2] in inodes:
            return int(pid)
    return None


def printable(text: str) -> str:
    """Return a text with unprintable characters escaped, except line ends.

    A name may contain commands for a terminal.
    """
    if text.isprintable():
        return text
    return "".join(c if c == "\n" else label(c) for c in text)


def say(text: str, *, file: TextIO | None = None) -> None:
    """Print for a person."""
    print(printable(text), file=file, flush=file is not None)


def print_json(value: Any) -> None:
    """Print data for programs."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def many(count: int, noun: str) -> str:
    """Return a number of things: `1 request`, `3 requests`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
