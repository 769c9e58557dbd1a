"""Imports run downwards, rooms are entered by doors, each library has one home.

A package is a folder; a file at the top of `provisioner/` or of `provisioner/coldfront/` is one of
its own. Everything but the lines and the homes is computed from the files.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LINES = (
    "contract plain",
    "objects request system",
    "agent config drafts journal spool",
    "journal.hosts journal.persons journal.postgresql journal.records journal.sqlite routing",
    "convergence.calls journal.outbox journal.queries",
    "journal.figures outcome steps",
    "controls convergence recovery",
    "policy recovery.rebuilding testing",
    "admission wiring",
    "hosts idle inspection manifests monitoring notify quotas",
    "hosts.handing house",
    "cards service",
    "cli",
)
"""The engine's packages, lowest first: none imports one of its own line or of a later one."""

HOMES = {
    "watchdog": {"provisioner/spool/watch.py"},
    "yaml": {"provisioner/request/documents.py"},
    "jinja2": {"provisioner/routing/expressions.py", "provisioner/notify/letters.py"},
    "prometheus_client": {"provisioner/monitoring/exporter.py"},
    "tenacity": {"provisioner/convergence/calls/reads.py"},
    "pytest": {"provisioner/testing/subject.py", "provisioner/testing/claiming.py"},
    "ldap3": {
        "handlers/ldap/directory/client.py",
        "handlers/ldap/directory/text.py",
        "handlers/ldap/directory/answers.py",
        "handlers/emulators/ldap/directory.py",
    },
    "sqlalchemy": {"provisioner/journal/"},
    "sqlite3": {"provisioner/journal/sqlite/"},
    "psycopg": {"provisioner/journal/postgresql/"},
    "procrastinate": {"provisioner/hosts/jobs.py"},
    "typer": {"provisioner/cli/"},
    "textual": {"provisioner/cli/screen.py"},
    "rich": {f"provisioner/cli/{name}.py" for name in ("progress", "standing", "doctor", "paint")},
}
"""Where a library is known: files, or folders with what lies below them."""

SANDBOX = {
    "handlers/emulators/host.py": {"provisioner.system.directories"},
    "handlers/emulators/site.py": {"provisioner.journal.journal", "provisioner.spool.spool"},
}
"""What of the engine the sandbox stands on, beside the contract."""

EMULATED = {"handlers/ldap/directory/client.py": "handlers.emulators.ldap.directory"}
"""A connection to `emulated://`, made where it is asked for."""

PURE = {
    "asking.files",
    "asking.mapping",
    "asking.wanted",
    "answering.answers",
}
"""Modules of the plugin that know neither Django nor ColdFront."""

COMMON = (
    "provisioner.coldfront.answering",
    "provisioner.coldfront.asking",
    "provisioner.coldfront.management.commands",
    "provisioner.coldfront.models",
    "provisioner.coldfront.offered",
    "provisioner.coldfront.pages.access",
    "provisioner.coldfront.pages.lines",
    "provisioner.coldfront.pages.people",
    "provisioner.coldfront.pages.places",
    "provisioner.coldfront.pages.words",
)
"""Packages and modules of the plugin that both versions of ColdFront use: they know neither."""

ONE_VERSION = {"provisioner_schedule", "provisioner_uninstall"}
"""Commands of which each version has its own, or none."""

ROOMS = 10
"""Most files of a folder of the engine; the command line has one for each family of verbs."""


def sources(*tops: str) -> list[Path]:
    return sorted(path for top in tops for path in (ROOT / top).rglob("*.py"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {dotted(path) for path in sources("provisioner", "handlers")}


@cache
def imports(path: Path) -> frozenset[str]:
    """List every module that a file imports, wherever in it; of ours, rooms and not their names."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


@cache
def package(module: str) -> str:
    """Name the package of a module of the engine or plugin, below `provisioner`."""
    parts = module.split(".")[1:]
    folder = ROOT.joinpath("provisioner", *parts).is_dir()
    above = parts if folder else parts[:-1]
    return ".".join(parts if above in ([], ["coldfront"], ["coldfront2"]) else above)


FIRST, SECOND = sources("provisioner/coldfront"), sources("provisioner/coldfront2")
PLUGIN = [*FIRST, *SECOND]
"""A program of its own, in ColdFront's process: the service knows nothing of it.

The second is for ColdFront 2, and stands on what the first has in `COMMON`.
"""

ENGINE = [path for path in sources("provisioner") if path not in PLUGIN]
ROOM = [path for path in ENGINE if path.name != "__init__.py"]
PACKAGES = sorted({package(dotted(path)) for path in ROOM})


def circle(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """Return a circle of arrows; empty: there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def doors(name: str) -> set[str]:
    """Read which rooms a package names in its `__all__`; what else is in there are names."""
    path = ROOT.joinpath("provisioner", *name.split("."), "__init__.py")
    [named] = [
        ast.literal_eval(node.value)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return {room for room in named if f"provisioner.{name}.{room}" in MODULES}


def entered(name: str) -> set[str]:
    """Find the rooms of a package that others import, or that the installed programs begin in."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    points = " ".join(setup["options.entry_points"].values()).replace(":", " ").split()
    from_outside = {
        module
        for path in sources("provisioner", "handlers")
        if not dotted(path).startswith("provisioner.") or package(dotted(path)) != name
        for module in imports(path)
    }
    top = f"provisioner.{name}"
    used = from_outside | set(points)
    rooms = {m.rpartition(".")[2] for m in MODULES & used if m.rpartition(".")[0] == top}
    return {room for room in rooms if f"{name}.{room}" not in PACKAGES}


# The engine's house.


def test_every_package_stands_on_one_of_at_most_thirteen_lines() -> None:
    assert len(LINES) <= 13
    assert sorted(" ".join(LINES).split()) == PACKAGES


@pytest.mark.parametrize("path", ENGINE, ids=relative)
def test_the_engine_imports_downwards(path: Path) -> None:
    line = {name: number for number, names in enumerate(LINES) for name in names.split()}
    mine = package(dotted(path))
    others = {package(n) for n in imports(path) if n.startswith("provisioner.")} - {mine}
    assert {name for name in others if line[name] >= line.get(mine, len(LINES))} == set()


@pytest.mark.parametrize("name", PACKAGES)
def test_the_files_of_a_package_make_no_circle(name: str) -> None:
    inside = [path for path in ROOM if package(dotted(path)) == name]
    mine = {dotted(path) for path in inside}
    assert circle({dotted(path): imports(path) & mine for path in inside}) == []


@pytest.mark.parametrize("name", sorted(set(PACKAGES) - {"cli", "service", "wiring"}))
def test_a_package_is_entered_by_its_doors_and_has_no_other(name: str) -> None:
    assert doors(name) == entered(name)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_does_not_go_round_by_its_own_door(name: str) -> None:
    inside = [path for path in ROOM if package(dotted(path)) == name]
    assert [relative(path) for path in inside if f"provisioner.{name}" in imports(path)] == []


@pytest.mark.parametrize("name", sorted(set(PACKAGES) - {"cli"}))
def test_a_folder_has_ten_rooms_at_most(name: str) -> None:
    assert len([path for path in ROOM if package(dotted(path)) == name]) <= ROOMS


def test_at_the_top_are_who_gets_what_and_the_threads_alone() -> None:
    assert {path.name for path in (ROOT / "provisioner").glob("*.*")} == {
        "__init__.py", "py.typed", "service.py", "wiring.py",
    }  # fmt: skip


@pytest.mark.parametrize("path", sources("provisioner"), ids=relative)
def test_the_engine_never_imports_a_handler(path: Path) -> None:
    assert [name for name in imports(path) if name.split(".")[0] == "handlers"] == []


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_at_its_home_only(library: str) -> None:
    found = [
        relative(path)
        for path in sources("provisioner", "handlers")
        if any(name.split(".")[0] == library for name in imports(path))
    ]
    homes = {next((h for h in HOMES[library] if name.startswith(h)), name) for name in found}
    assert homes == HOMES[library]


def test_what_only_one_database_has_is_said_in_its_place() -> None:
    knows = {p for p in ENGINE if any(n.startswith("sqlalchemy.dialects") for n in imports(p))}
    where = {f"provisioner/journal/{each}dialect.py" for each in ("", "sqlite/", "postgresql/")}
    assert {relative(path) for path in knows} == where


# Handlers.


@pytest.mark.parametrize("path", sources("handlers"), ids=relative)
def test_a_handler_imports_of_the_engine_its_contract_alone(path: Path) -> None:
    engine = {name for name in imports(path) if name.split(".")[0] == "provisioner"}
    assert engine <= {"provisioner.contract", *SANDBOX.get(relative(path), ())}


HANDLERS = [
    path
    for path in sources("handlers")
    if not relative(path).startswith(("handlers/emulators/", "handlers/__init__"))
]


@pytest.mark.parametrize("path", HANDLERS, ids=relative)
def test_a_handler_imports_itself_and_no_other_handler(path: Path) -> None:
    mine = dotted(path).split(".")[1]
    beside = {name for name in imports(path) if name.startswith("handlers.")}
    others = {name for name in beside if name.split(".")[1] != mine}
    assert others <= {EMULATED.get(relative(path))}


@pytest.mark.parametrize("folder", sorted({path.parent for path in HANDLERS}), ids=relative)
def test_the_files_of_a_handler_make_no_circle(folder: Path) -> None:
    inside = list(folder.glob("*.py"))
    mine = {dotted(path) for path in inside}
    assert circle({dotted(path): imports(path) & mine for path in inside}) == []


# The plugin.


@pytest.mark.parametrize("path", sources("provisioner", "handlers"), ids=relative)
def test_only_the_plugin_knows_coldfront(path: Path) -> None:
    knows = {n for n in imports(path) if n.split(".")[0] in {"django", "coldfront"}}
    assert path in PLUGIN or not knows
    assert path in PLUGIN or not {n for n in imports(path) if "provisioner.coldfront" in n}


def test_the_plugins_packages_make_no_circle() -> None:
    arrows: dict[str, set[str]] = defaultdict(set)
    for path in PLUGIN:
        mine = package(dotted(path))
        beside = {package(n) for n in imports(path) if n.startswith("provisioner.coldfront")}
        arrows[mine] |= beside - {mine}
    assert circle(arrows) == []


COMMONS = [
    path for path in FIRST if dotted(path).startswith(COMMON) and path.stem not in ONE_VERSION
]


@pytest.mark.parametrize("path", COMMONS, ids=relative)
def test_what_both_versions_use_knows_neither(path: Path) -> None:
    assert {n for n in imports(path) if n.split(".")[0] == "coldfront"} == set()
    others = {n for n in imports(path) if n.startswith("provisioner.coldfront")}
    assert {n for n in others if not n.startswith((*COMMON, "provisioner.coldfront.__"))} <= {
        "provisioner.coldfront"
    }


@pytest.mark.parametrize("path", SECOND, ids=relative)
def test_the_app_for_coldfront_2_takes_of_the_first_what_is_common(path: Path) -> None:
    first = {n for n in imports(path) if n.split(".")[:2] == ["provisioner", "coldfront"]}
    assert {n for n in first - {"provisioner.coldfront"} if not n.startswith(COMMON)} == set()


@pytest.mark.parametrize("path", FIRST, ids=relative)
def test_the_first_app_knows_nothing_of_the_second(path: Path) -> None:
    assert [n for n in imports(path) if n.startswith("provisioner.coldfront2")] == []


@pytest.mark.parametrize("name", ["asking", "answering", "pages"])
def test_the_files_of_a_room_of_the_plugin_make_no_circle(name: str) -> None:
    inside = [path for path in PLUGIN if package(dotted(path)) == f"coldfront.{name}"]
    mine = {dotted(path) for path in inside}
    assert 0 < len(inside) <= ROOMS + 1  # with the door
    assert circle({dotted(path): imports(path) & mine for path in inside}) == []


@pytest.mark.parametrize("name", sorted(PURE))
def test_the_plugins_pure_modules_know_neither_django_nor_coldfront(name: str) -> None:
    names = imports(ROOT.joinpath("provisioner/coldfront", *name.split(".")).with_suffix(".py"))
    assert {n for n in names if n.split(".")[0] in {"django", "coldfront"}} == set()
    others = {n for n in names if n.startswith("provisioner.coldfront.")}
    assert others <= {f"provisioner.coldfront.{pure}" for pure in PURE}


@pytest.mark.parametrize("name", ["limits", "mapping"])
def test_the_pure_modules_for_coldfront_2_know_neither_django_nor_coldfront(name: str) -> None:
    names = imports(ROOT / f"provisioner/coldfront2/{name}.py")
    assert {n for n in names if n.split(".")[0] in {"django", "coldfront"}} == set()
    others = {n for n in names if n.startswith("provisioner.coldfront.")}
    assert others <= {f"provisioner.coldfront.{pure}" for pure in PURE}


@pytest.mark.parametrize("path", PLUGIN, ids=relative)
def test_the_plugin_takes_of_the_engine_what_any_writer_needs(path: Path) -> None:
    used = {
        name.removeprefix("provisioner.")
        for name in imports(path)
        if name.startswith("provisioner.") and not name.startswith("provisioner.coldfront")
    }
    assert used <= {
        "contract", "contract.texts", "outcome.offer", "outcome.receipts",
        "policy.protected", "request.actions", "request.documents", "request.values",
        "spool.submission", "spool.submit", "system.users",
    }  # fmt: skip


# The tests' own house.


def test_the_folders_of_unit_tests_are_those_of_what_they_test() -> None:
    folders = {path.parent.relative_to(ROOT / "tests/unit") for path in sources("tests/unit")}
    strange = {
        str(folder)
        for folder in folders
        if not any((ROOT / top / folder).is_dir() for top in ("provisioner", ".", "tests"))
    }
    assert strange == set()


@pytest.mark.parametrize("path", sources("tests/unit", "tests/contract", "tests/service"), ids=str)
def test_what_tests_stand_on_is_in_one_folder(path: Path) -> None:
    assert path.name.startswith("test_") or path.name in {"__init__.py", "conftest.py"}


@pytest.mark.parametrize("path", sources("tests"), ids=str)
def test_a_module_of_tests_takes_nothing_from_another(path: Path) -> None:
    taken = {name for name in imports(path) if ".test_" in name}
    assert taken == set()


def test_a_verb_that_reads_no_journal_does_not_wait_for_the_database_to_be_loaded() -> None:
    said = "import sys, provisioner.cli.main; print(*sys.modules)"
    command = [sys.executable, "-c", said]
    run = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    assert not {"sqlalchemy", "jinja2", "yaml"} & set(run.stdout.split())
