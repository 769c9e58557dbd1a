"""The documents say what the code does: every example is taken, and nothing is left out."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

import pytest
import typer.main
import yaml
from pydantic import BaseModel

from handlers.ldap.directory.settings import DirectorySettings
from handlers.ldap.numbers.ids import Ids
from provisioner.agent import rules, server
from provisioner.cli.exits import Exit
from provisioner.cli.main import app
from provisioner.config.keeping import (
    BackupConfig,
    ManifestsConfig,
    RetentionConfig,
    RolesConfig,
)
from provisioner.config.metrics import MetricsConfig
from provisioner.config.notify import Event, HookConfig, MailConfig, NotifyConfig
from provisioner.config.policy import (
    MassConfig,
    PolicyConfig,
    ProtectedConfig,
    RuleConfig,
    SignaturesConfig,
)
from provisioner.config.schema import (
    AgentConfig,
    Config,
    LaneConfig,
    ResourceConfig,
    StepConfig,
    load,
)
from provisioner.contract import DirectoryState, Json
from provisioner.inspection.examples import example, handler_settings
from provisioner.journal.records.step_rows import ObjectRecord, StepRecord
from provisioner.objects.errors import Error
from provisioner.objects.states import RequestState, StepState
from provisioner.outcome import results
from provisioner.outcome.outcomes import PLACE, receipt_of
from provisioner.request.actions import ACTIONS
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import parse_request
from provisioner.system.ulid import RequestId
from provisioner.wiring import build
from tests.support.records import a_request

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HEAD = {"service": "test", "spool": "spool", "journal": "journal.db"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a document. mark: what follows the language."""

    place: str
    language: str
    mark: str
    text: str

    @property
    def value(self) -> Any:
        """Return what it says; text leaves, as the service reads it."""
        return yaml.load(self.text, yaml.BaseLoader) or {}

    def __str__(self) -> str:
        return self.place


def blocks() -> Iterator[Block]:
    for path in (*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))):
        text = path.read_text()
        for found in re.finditer(r"^```(\w+)([^\n]*)\n(.*?)^```$", text, re.M | re.S):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(f"{path.relative_to(ROOT)}:{line}", found[1], found[2].strip(), found[3])


BLOCKS = list(blocks())
YAML = [block for block in BLOCKS if block.language == "yaml"]
REQUESTS = [block for block in YAML if "action" in block.value and "subject" not in block.value]
CONFIGS = [block for block in YAML if set(block.value) <= set(Config.model_fields)]
ANSWERS = [block for block in YAML if "subject" in block.value]


def read(name: str) -> str:
    return (DOCS / name).read_text()


def section(text: str, head: str) -> str:
    """Return what stands under a heading, up to the next of its level or above."""
    found = re.search(rf"^(#+) {re.escape(head)}\n(.*?)(?=^#{{1,3}} |\Z)", text, re.M | re.S)
    assert found is not None, head
    return found[2]


def test_every_yaml_block_is_a_request_an_answer_or_a_configuration() -> None:
    kinds = {str(one): sum(one in kind for kind in (REQUESTS, CONFIGS, ANSWERS)) for one in YAML}
    assert [place for place, kind in kinds.items() if kind != 1] == []


# Requests.


@pytest.mark.parametrize("block", [b for b in REQUESTS if b.mark != "wrong"], ids=str)
def test_a_request_is_taken(block: Block) -> None:
    assert parse_request(block.text.encode()).action == block.value["action"]


@pytest.mark.parametrize("block", [b for b in REQUESTS if b.mark == "wrong"], ids=str)
def test_a_wrong_request_is_refused_as_the_document_says(block: Block) -> None:
    answer = BLOCKS[BLOCKS.index(block) + 1]
    with pytest.raises(InvalidDocument) as refused:
        parse_request(block.text.encode())
    for said, problem in zip(answer.text.splitlines(), refused.value.problems, strict=True):
        before, _, after = said.partition("...")
        assert str(problem).startswith(before) and str(problem).endswith(after)


def test_every_action_has_an_example() -> None:
    shown = {block.value["action"] for block in REQUESTS if block.mark != "wrong"}
    assert set(ACTIONS) - shown == set()


def keys(model: type[BaseModel]) -> set[str]:
    """List the keys that a model takes, those of its parts included."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(field.alias or name)
        for part in parts(field.annotation):
            found |= keys(part)
    return found


def parts(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from parts(inner)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_key_of_an_action_is_named(action: str) -> None:
    text = read("request-format.md")
    assert [key for key in keys(ACTIONS[action]) if not re.search(rf"\b{key}\b[:`]", text)] == []


# Answers.


def test_a_result_is_as_the_document_shows_it() -> None:
    [shown] = [block.value for block in ANSWERS if "outcome" in block.value]
    step = results.StepResult(
        "s", "h", "failed", ("c",), ("a",), {"k": {"present": True}}, 1.0, 2.0,
        Error(type="t", message="m", advice="a", object="o"),
    )  # fmt: skip
    problem: dict[str, Json] = {
        "line": 1,
        "key": "k",
        "message": "m",
        "expected": "e",
        "nearest": "n",
    }
    whole = results.plain(
        results.Result(
            RequestId("i"), "n", "a", "s", "w", "failed", 1.0, 2.0, (step,), (problem,), "r", "p"
        )
    )
    assert list(shown) == list(whole)
    assert list(shown["problems"][0]) == list(problem)
    [plain] = cast(list[dict[str, Json]], whole["steps"])
    assert {key for one in shown["steps"] for key in one} == set(plain)
    assert list(shown["steps"][1]["error"]) == list(step.error.words() if step.error else {})


def test_a_receipt_is_as_the_document_shows_it() -> None:
    [shown] = [block.value for block in ANSWERS if "state" in block.value]
    record = a_request()
    wrong = Error(type="t", message="m", advice="a")
    part = ObjectRecord(key="k", item="asmith", state=StepState.FAILED, error=wrong)
    step = StepRecord(
        request=RequestId("i"), name="s", instance="h", state=StepState.FAILED, objects=(part,)
    )
    whole: dict[str, Any] = dict(receipt_of(replace(record, state=RequestState.FAILED), [step]))
    assert list(shown) == list(whole) == list(receipt_of(record))
    assert list(shown["steps"][0]) == list(whole["steps"][0])
    assert list(shown["steps"][0]["problems"][0]) == list(whole["steps"][0]["problems"][0])
    assert whole["steps"][0]["users"] == {"asmith": "failed"}


def test_every_state_and_every_place_is_named() -> None:
    text = read("request-format.md")
    assert [state for state in PLACE if f"`{state}`" not in text] == []
    assert [place for place in set(PLACE.values()) if f"| `{place}/` |" not in text] == []


# Configuration.


def with_head(value: dict[str, Any]) -> str:
    return json.dumps({**{k: v for k, v in HEAD.items() if k not in value}, **value})


@pytest.mark.parametrize("block", CONFIGS, ids=str)
def test_a_configuration_loads_and_its_handlers_and_routes_are_built(
    block: Block, tmp_path: Path
) -> None:
    path = tmp_path / "provisioner.yaml"
    path.write_text(with_head(block.value))
    assert set(build(load(path)).handlers) == set(block.value.get("handlers", ()))


def test_the_shipped_example_and_the_printed_one_load(tmp_path: Path) -> None:
    assert build(load(ROOT / "deploy/examples/provisioner.yaml")).handlers
    path = tmp_path / "provisioner.yaml"
    path.write_text(example())
    assert build(load(path)).handlers == {}


MODELS: dict[str, type[BaseModel]] = {
    "All options": Config,
    "Agents": AgentConfig,
    "Resources": ResourceConfig,
    "Policy": PolicyConfig,
    "Rules": RuleConfig,
    "Protected names": ProtectedConfig,
    "Crowds": MassConfig,
    "Signatures": SignaturesConfig,
    "Lanes": LaneConfig,
    "Backup": BackupConfig,
    "Manifests": ManifestsConfig,
    "Retention": RetentionConfig,
    "Several hosts": RolesConfig,
    "Telling people": NotifyConfig,
    "Mail": MailConfig,
    "Metrics": MetricsConfig,
    "A program of the site": HookConfig,
    "Routes": StepConfig,
    **{f"`{kind}`": model for kind, model in handler_settings().items()},
}


@pytest.mark.parametrize("head", MODELS)
def test_every_option_stands_in_its_table_with_its_default(head: str) -> None:
    rows = table(head, "Option")
    if issubclass(MODELS[head], DirectorySettings):
        rows = table("Directories", "Option") | rows
    fields = {field.alias or name: field for name, field in MODELS[head].model_fields.items()}
    assert set(fields) <= set(rows)
    for name, field in fields.items():
        assert (rows[name] == "needed") is field.is_required(), name
        if isinstance(field.default, str | int | float) and field.default != "":
            assert rows[name].strip("`").strip('"') == str(field.default).replace("False", "false")


def test_the_options_of_ranges_stand_with_those_of_directories() -> None:
    fields = {field.alias or name for name, field in Ids.model_fields.items()}
    assert fields <= set(table("Directories", "Option"))


@pytest.mark.parametrize("kind", handler_settings())
def test_every_parameter_of_a_handler_stands_in_its_table(kind: str) -> None:
    [point] = entry_points(group="provisioner.handlers", name=kind)
    fields = importlib.import_module(point.module).Params.model_fields
    rows = table(f"`{kind}`", "Parameter")
    assert set(rows) == {field.alias or name for name, field in fields.items()}


def table(head: str, first: str) -> dict[str, str]:
    """Read the tables of a section whose first column has a name: first cell -> second."""
    found: dict[str, str] = {}
    for body in re.findall(
        rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)",
        section(read("configuration.md"), head) + "\n",
        re.M,
    ):
        for row in body.splitlines():
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
            found[cells[0].strip("`")] = cells[1]
    return found


def test_every_event_that_is_told_stands_in_its_table() -> None:
    assert set(table("Telling people", "Event")) == set(map(str, Event))


# The command line.


def commands() -> Iterator[tuple[str, Any]]:
    """List every verb with its command, those of a group by two words."""
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        if below is None:
            yield name, command
        else:
            yield from ((f"{name} {inner}", one) for inner, one in below.items())


@pytest.mark.parametrize(("verb", "command"), list(commands()), ids=lambda value: str(value)[:20])
def test_a_verb_has_a_heading_and_every_option_of_it_is_named_there(
    verb: str, command: Any
) -> None:
    heads = re.findall(r"^### .*$", read("cli.md"), re.M)
    [head] = [one for one in heads if re.search(rf"`(provisioner )?{verb}(?![\w-])", one)]
    text = head + section(read("cli.md"), head.removeprefix("### "))
    if "`release`" in head or "LANE`, `" in head:
        text += section(read("cli.md"), "`provisioner pause LANE`, `unpause LANE`")
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert any(f"{name}" in text for name in parameter.opts), parameter.opts
        else:
            assert (parameter.metavar or parameter.name).upper() in head


def test_every_exit_code_is_explained() -> None:
    rows = re.findall(r"^\| (\d+) \| \S", section(read("cli.md"), "Exit codes"), re.M)
    assert {int(code) for code in rows} == {130, *(code.value for code in Exit)}


# The agent.


def test_every_verb_and_every_option_of_the_agent_is_named() -> None:
    text = read("agent.md")
    for verb, taken in server._FIELDS.items():
        row = ", ".join(f"`{name}`" for name in taken)
        assert f"| `{verb}` | {row} |" in text
    options = {row.rpartition(".")[2] for row in re.findall(r"^\| `([\w.\"/]+)` \|", text, re.M)}
    assert {name for names in rules._NAMES.values() for name in names} <= {
        *options, "roots", "tools", "ways",
    }  # fmt: skip


def test_an_answer_of_the_agent_is_as_the_document_shows_it(tmp_path: Path) -> None:
    [shown] = [block for block in BLOCKS if block.language == "json" and "observe" in block.text]
    asked, told = map(json.loads, shown.text.splitlines())
    assert set(asked) == {"id", "verb", *server._FIELDS["observe"]}
    assert set(told["value"]) == {field.name for field in fields(DirectoryState)}


# Guarantees.


def test_each_guarantee_names_tests_that_there_are() -> None:
    rows = re.findall(r"^\| (?!Guarantee)(.+) \| (.+) \|$", read("guarantees.md"), re.M)
    assert len(rows) > 20
    for guarantee, held in rows:
        named = re.findall(r"`([^`]+)`", held)
        assert named, guarantee
        for name in named:
            target = name.removeprefix("make ")
            made = re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)
            assert (ROOT / name).is_file() or made, f"{guarantee}: {name}"


def test_decisions_are_numbered_one_after_another() -> None:
    records = sorted((ROOT / "docs/adr").glob("*.md"))
    numbers = [int(path.name.partition("-")[0]) for path in records]
    assert numbers == list(range(1, len(records) + 1))
    titles = [path.read_text().partition("\n")[0] for path in records]
    assert [int(title.removeprefix("# ").partition(".")[0]) for title in titles] == numbers
