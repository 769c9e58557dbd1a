"""Imports run downwards, each library has one home, and handlers know the contract alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS = (
    {"wording", "texts", "faults", "sizes", "disks"},
    {"contract", "ulid", "rename", "notify", "turns", "persons", "posix_acl", "submitters"},
    {"losses", "abilities", "applied", "merging"},
    {"items"},
    {"documents", "retrying", "process", "rendering", "safety", "tables", "requestfile", "watch"}
    | {"many"},
    {"audit", "leftovers", "places", "companions", "values", "lineage", "sums", "ways"}
    | {"changes", "strikes", "readers"},
    {"migrations", "marks", "redolog", "reserve", "subjects", "sweep"},
    {"cells"},
    {"database"},
    {
        "converge",
        "actions",
        "host",
        "agentrules",
        "agenthost",
        "drop",
        "results",
        "receipts",
        "journal",
        "records",
        "stepbook",
        "agenda",
        "waits",
    },
    {"keepsakes"},
    {"ledger", "beforehand", "history", "request", "spool", "fakes", "agent", "found", "lookup"}
    | {"outcomes"},
    {"config", "finish", "testing", "holdings", "crowds"},
    {"rules", "protected", "outsiders"},
    {"clerk", "clock", "policy", "retention", "backup"},
    {"level"},
    {"start"},
    {"rebuild"},
    {"origins", "remarks", "routes", "homes"},
    {"choices"},
    {"routing"},
    {"readiness"},
    {"steps", "binding"},
    {"disputes"},
    {"asides"},
    {"advance", "undo"},
    {"settling"},
    {"steering"},
    {"verbs", "lanes", "wiring", "placement"},
    {"review", "planning", "examples", "manifest", "rehearsal"},
    {"candidates", "standings"},
    {"drift", "comparison", "precedents"},
    {"admission", "enclosures", "listing", "signature"},
    {"intake", "reporter"},
    {"following"},
    {"weighing"},
    {"adoption", "reconcile"},
    {"portions"},
    {"service"},
    {"cli.exits", "cli.site", "cli.beside"},
    {"cli.progress", "cli.queue", "cli.standing", "cli.signing"},
    {"cli.doctor"},
    {"cli.submitting", "cli.reading", "cli.serving", "cli.auditing"},
    {"cli.control", "cli.moving"},
    {"cli.recovery"},
    {"cli.main"},
)
"""Modules of the engine from the lowest up; none imports one of its own layer or above."""

HOMES = {
    "watchdog": {"provisioner/watch.py"},
    "yaml": {"provisioner/documents.py"},
    "jinja2": {"provisioner/rendering.py"},
    "tenacity": {"provisioner/retrying.py"},
    "pytest": {"provisioner/testing.py"},
    "ldap3": {
        "handlers/_ldap.py",
        "handlers/_ldap_text.py",
        "handlers/_ldap_answers.py",
        "handlers/emulators/directory.py",
    },
    # Statements, and those who work inside a transaction that they are given.
    "sqlalchemy": {
        f"provisioner/{name}.py"
        for name in (
            "tables",
            "many",
            "audit",
            "cells",
            "retention",
            "outsiders",
            "clock",
            "beforehand",
            "marks",
            "rebuild",
            "journal",
            "database",
            "rehearsal",
            "records",
            "stepbook",
            "settling",
            "steering",
            "precedents",
            "history",
            "lookup",
            "agenda",
            "waits",
            "keepsakes",
            "ledger",
            "holdings",
            "remarks",
            "binding",
            "disputes",
            "asides",
            "advance",
            "steps",
            "undo",
            "verbs",
            "review",
            "admission",
            "changes",
            "following",
            "standings",
            "adoption",
            "intake",
            "planning",
        )
    },
    "typer": {
        f"provisioner/cli/{name}.py"
        for name in (
            "main",
            "serving",
            "submitting",
            "reading",
            "queue",
            "auditing",
            "recovery",
            "moving",
            "control",
            "doctor",
        )
    },
    "rich": {f"provisioner/cli/{name}.py" for name in ("progress", "standing", "doctor")},
}

SANDBOX = {
    "handlers/emulators/host.py": {"provisioner.host"},
    "handlers/emulators/site.py": {"provisioner.journal", "provisioner.spool"},
}
"""What of the engine the sandbox stands on, beside the contract."""

EMULATED = {"handlers/_ldap.py": "handlers.emulators.directory"}
"""A connection to `emulated://`, made where it is asked for."""


def sources(*tops: str) -> list[Path]:
    return sorted(path for top in tops for path in (ROOT / top).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """List every module that a file imports, wherever in it; `from a import b` gives `a.b` too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module(path: Path) -> str:
    """Name a module of the engine below `provisioner`."""
    return ".".join(path.relative_to(ROOT / "provisioner").with_suffix("").parts)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


PLUGIN = sources("provisioner/coldfront")
"""A program of its own, in ColdFront's process: the service knows nothing of it."""

ENGINE = [
    path for path in sources("provisioner") if path.name != "__init__.py" and path not in PLUGIN
]

PURE = {"attributes", "wanted", "mapping", "answers", "files"}
"""Modules of the plugin that know neither Django nor ColdFront."""


def test_every_module_of_the_engine_has_its_layer() -> None:
    listed = [name for layer in LAYERS for name in layer]
    assert sorted(listed) == sorted(module(path) for path in ENGINE)


@pytest.mark.parametrize("path", ENGINE, ids=module)
def test_the_engine_imports_downwards(path: Path) -> None:
    level = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    below = {
        name.removeprefix("provisioner.") for name in imports(path) if name.startswith("provis")
    }
    assert [n for n in below if n in level and level[n] >= level[module(path)]] == []


@pytest.mark.parametrize("path", sources("provisioner"), ids=relative)
def test_the_engine_never_imports_a_handler(path: Path) -> None:
    assert [name for name in imports(path) if name.split(".")[0] == "handlers"] == []


@pytest.mark.parametrize("path", sources("handlers"), ids=relative)
def test_a_handler_imports_of_the_engine_its_contract_alone(path: Path) -> None:
    allowed = {"provisioner.contract", *SANDBOX.get(relative(path), ())}
    engine = {
        ".".join(name.split(".")[:2])
        for name in imports(path)
        if name.startswith("provisioner.") and name != "provisioner"
    }
    assert engine <= allowed


@pytest.mark.parametrize("path", sorted((ROOT / "handlers").glob("*.py")), ids=relative)
def test_a_handler_imports_private_modules_beside_it_and_no_other_handler(path: Path) -> None:
    beside = {name for name in imports(path) if name.startswith("handlers.")}
    others = {name for name in beside if not name.split(".")[1].startswith("_")}
    exempt = EMULATED.get(relative(path), "nothing")
    assert {name for name in others if not name.startswith(exempt)} == set()


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_at_its_home_only(library: str) -> None:
    found = {
        relative(path)
        for path in sources("provisioner", "handlers")
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert found == HOMES[library]


@pytest.mark.parametrize("path", sources("provisioner", "handlers"), ids=relative)
def test_only_the_plugin_knows_coldfront(path: Path) -> None:
    names = set(imports(path))
    knows = {n for n in names if n.split(".")[0] in {"django", "coldfront"}}
    assert path in PLUGIN or not knows
    assert path in PLUGIN or not {n for n in names if n.startswith("provisioner.coldfront")}


@pytest.mark.parametrize("name", sorted(PURE))
def test_the_plugins_pure_modules_know_neither_django_nor_coldfront(name: str) -> None:
    names = set(imports(ROOT / "provisioner" / "coldfront" / f"{name}.py"))
    assert {n for n in names if n.split(".")[0] in {"django", "coldfront"}} == set()
    others = {n.split(".")[2] for n in names if n.startswith("provisioner.coldfront.")}
    assert others <= PURE


@pytest.mark.parametrize("path", PLUGIN, ids=relative)
def test_the_plugin_takes_of_the_engine_what_any_writer_needs(path: Path) -> None:
    used = {name.split(".")[1] for name in imports(path) if name.startswith("provisioner.")}
    assert used <= {"coldfront", "actions", "contract", "documents", "drop", "protected", "texts",
                    "receipts", "requestfile", "sizes", "submitters", "values"}  # fmt: skip
