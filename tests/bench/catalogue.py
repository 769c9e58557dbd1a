"""All figures of the bench, by name, in the order of the table."""

from __future__ import annotations

from tests.bench import (
    accepting,
    account,
    approving,
    drift,
    drops,
    engine,
    everywhere,
    hosts,
    manifest,
    memory,
    on_server,
    one_user,
    reconciling,
    suite,
    waiting,
)
from tests.bench.figure import Figure

MODULES = (
    *(one_user, account, everywhere, engine, accepting, drops, waiting, memory),
    *(on_server, hosts, reconciling, manifest, drift, approving, suite),
)
FIGURES: dict[str, Figure] = {
    figure.name: figure for module in MODULES for figure in module.FIGURES
}
