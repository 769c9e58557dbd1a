"""The configured site, as the verbs need it.

Promises: what a verb does not need is not loaded, so that those who only drop a file start fast.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioner.contract import ConfigError

if TYPE_CHECKING:
    from provisioner.config import Config
    from provisioner.spool import Spool
    from provisioner.wiring import System

DEFAULT = Path("/etc/provisioner/provisioner.yaml")


def path() -> Path:
    """Return where the configuration is: --config, $PROVISIONER_CONFIG, or the default."""
    return Path(os.environ.get("PROVISIONER_CONFIG") or DEFAULT)


def staging() -> Path:
    """Return the staging directory, reading no more of the configuration than its name.

    A writer needs neither the handlers' settings nor the time that it takes to check them.
    """
    from provisioner.documents import InvalidDocument, parse

    file = path()
    try:
        value = parse(file.read_bytes(), size=1 << 20).value
    except OSError as error:
        raise ConfigError(
            f"the configuration {file}: {error.strerror}",
            advice="name it: --config FILE; `provisioner config example` prints one",
        ) from None
    except InvalidDocument as error:
        raise ConfigError(f"{file} is not right:\n{error.message}") from None
    spool = value.get("spool") if isinstance(value, dict) else None
    if not isinstance(spool, str):
        raise ConfigError(f"{file} names no `spool`", advice="provisioner config check")
    return file.resolve().parent / spool / "staging"


def config() -> Config:
    """Load the configuration that was named."""
    from provisioner.config import load

    return load(path())


def system() -> System:
    """Build handlers, router and journal."""
    from provisioner.wiring import build

    return build(config())


def spool(settings: Config) -> Spool:
    """Open the spool."""
    from provisioner.spool import Spool

    return Spool.open(settings.spool)


def print_json(value: Any) -> None:
    """Print data for programs."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
