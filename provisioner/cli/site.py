"""The configured site, as the verbs need it."""

from __future__ import annotations

import json
import sys
from typing import Any

from provisioner import config as configuration
from provisioner.config import Config
from provisioner.spool import Spool
from provisioner.wiring import System, build


def config() -> Config:
    """Load the configuration that was named."""
    return configuration.load(configuration.find())


def system() -> System:
    """Build handlers, router and journal."""
    return build(config())


def spool(settings: Config) -> Spool:
    """Open the spool."""
    return Spool.open(settings.spool)


def print_json(value: Any) -> None:
    """Print data for programs."""
    json.dump(value, sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
