"""A site's own program: the sample that is shipped, and programs that answer wrongly."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from handlers.command import Command, build
from provisioner.contract import (
    Change,
    Conflict,
    Fault,
    InvalidRequest,
    KnownAfter,
    Level,
    NotReady,
    Permanent,
    State,
    Transient,
    Unavailable,
    Unknown,
)
from provisioner.testing import Ledger, site

SAMPLE = Path(__file__).parents[2] / "templates/command/sample.py"
PAGE = {"name": "jdoe", "kind": "page", "title": "J. Doe"}
KEY = "wiki/page/jdoe"


def command(*program: str | Path, **settings: object) -> Command:
    return build(site("wiki"), {"program": [str(word) for word in program], **settings})


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Give the directory that the sample keeps its objects in."""
    pages = tmp_path / "pages"
    pages.mkdir()
    return pages


@pytest.fixture
def wiki(pages: Path) -> Command:
    return command(SAMPLE, pages)


def ask(pages: Path, verb: str, **question: Any) -> dict[str, Any]:
    """Run the sample by hand, as its author would."""
    done = subprocess.run(
        [SAMPLE, pages, verb],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def program(directory: Path, text: str) -> Path:
    """Write a program of a few lines of Python; `question` and `verb` are what it was asked."""
    path = directory / "program"
    head = "import json, os, sys, time\nverb, question = sys.argv[1], json.load(sys.stdin)\n"
    path.write_text(f"#!{sys.executable} -IS\n{head}{text}\n")
    path.chmod(0o755)
    return path


# The sample.


def test_the_sample_makes_changes_closes_and_opens(wiki: Command, pages: Path) -> None:
    ledger = Ledger().claim(wiki, PAGE)
    steps: list[tuple[Any, dict[str, object]]] = [
        (lambda: None, {"title": "J. Doe", "owner": None, "open": True}),
        (lambda: ledger.claim(wiki, {**PAGE, "owner": "jdoe"}), {"owner": "jdoe"}),
        (ledger.suspend, {"open": False, "title": "J. Doe"}),
        (lambda: ledger.suspend(False), {"open": True}),
        (ledger.withdraw, {"open": False, "owner": "jdoe"}),
    ]
    for step, expected in steps:
        step()
        (outcome,) = ledger.run(wiki).values()
        assert outcome.fault is None
        found = json.loads((pages / "page-jdoe.json").read_text())
        assert {name: found[name] for name in expected} == expected


def test_the_sample_tells_its_changes_in_words(wiki: Command) -> None:
    ledger = Ledger().claim(wiki, PAGE)
    (made,) = ledger.run(wiki).values()
    (changed,) = ledger.claim(wiki, {**PAGE, "title": "Dr. J. Doe"}).run(wiki).values()
    assert made.changed == ("create jdoe",)
    assert changed.changed == ("title 'J. Doe' -> 'Dr. J. Doe'",)


def test_a_file_of_others_fails_its_object_alone(wiki: Command, pages: Path) -> None:
    (pages / "page-jdoe.json").write_text("no JSON")
    outcomes = Ledger().claim(wiki, PAGE).run(wiki)
    assert isinstance(outcomes[KEY].fault, Conflict)
    assert (pages / "page-jdoe.json").read_text() == "no JSON"


@pytest.mark.parametrize(
    ("verb", "question", "answer"),
    [
        ("observe", {"keys": []}, {"states": {}}),
        ("observe", {"keys": [KEY]}, {"states": {KEY: {"present": False}}}),
        (
            "plan",
            {
                "key": KEY,
                "want": {"present": False, "suspended": False},
                "state": {"present": False},
            },
            {"changes": []},
        ),
        ("apply", {"changes": []}, {}),
        (
            "inventory",
            {},
            {"error": {"type": "Permanent", "message": "there is no inventory", "advice": ""}},
        ),
    ],
)
def test_the_sample_answers_by_hand(
    pages: Path, verb: str, question: dict[str, Any], answer: dict[str, Any]
) -> None:
    assert ask(pages, verb, instance="wiki", **question) == answer


# The document.


DOCUMENT = Path(__file__).parents[2] / "docs/command-handler.md"


def test_the_sample_answers_as_the_document_shows(pages: Path) -> None:
    shown = re.findall(r"^```json (\w+)\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
    asked = [verb for verb, _ in shown if verb != "answer"]
    assert asked == ["observe", "plan", "plan", "apply", "observe", "rename"]
    for (verb, question), (answer, text) in zip(shown[::2], shown[1::2], strict=True):
        assert answer == "answer"
        expected = json.loads(text.replace("/var/lib/wiki", str(pages)))
        assert ask(pages, verb, **json.loads(question)) == expected


def test_the_documents_suite_passes(tmp_path: Path) -> None:
    [suite] = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
    (tmp_path / "test_wiki.py").write_text(suite)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", tmp_path, "--rootdir", tmp_path],
        cwd=SAMPLE.parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_document_names_every_kind_of_error_that_may_be_answered() -> None:
    named = set(re.findall(r"^\| `([A-Z]\w+)` \|", DOCUMENT.read_text(), re.M))
    assert named == {"Conflict", "Permanent", "Transient", "NotReady", "Unavailable", "Unknown"}


# What is asked.


def test_a_program_is_told_the_instance_and_all_that_was_asked(tmp_path: Path) -> None:
    log = tmp_path / "log"
    noted = program(
        tmp_path,
        f"""
with open({str(log)!r}, "a") as file:
    file.write(json.dumps([verb, question]) + "\\n")
present = os.path.exists({str(log)!r} + ".made")
if verb == "observe":
    print(json.dumps({{"states": {{key: {{"present": present}} for key in question["keys"]}}}}))
elif verb == "plan":
    print(json.dumps({{"changes": [] if present else [
        {{"verb": "make", "text": "make it", "phase": 3, "group": "all", "data": {{"a": [1]}}}}
    ]}}))
else:
    open({str(log)!r} + ".made", "w").close()
""",
    )
    handler = command(noted)
    (outcome,) = Ledger().claim(handler, {**PAGE, "size": 3}).run(handler).values()
    assert (outcome.fault, outcome.changed) == (None, ("make it",))
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    want = {"name": "jdoe", "title": "J. Doe", "size": 3, "present": True, "suspended": False}
    change = {"key": KEY, "verb": "make", "text": "make it", "data": {"a": [1]}}
    base = {"instance": "wiki"}
    assert asked == [
        ["observe", {**base, "keys": [KEY]}],
        ["plan", {**base, "key": KEY, "want": want, "state": {"present": False}}],
        ["apply", {**base, "changes": [change]}],
        ["observe", {**base, "keys": [KEY]}],
        ["plan", {**base, "key": KEY, "want": want, "state": {"present": True}}],
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"verb": "make"}, Change(KEY, "make", "make", 0, KEY)),
        ({"verb": "make", "text": "make it"}, Change(KEY, "make", "make it", 0, KEY)),
        ({"verb": "make", "phase": 7, "group": "g"}, Change(KEY, "make", "make", 7, "g")),
        ({"verb": "make", "data": {"a": None}}, Change(KEY, "make", "make", 0, KEY, {"a": None})),
    ],
)
def test_what_a_change_leaves_out_has_a_default(
    tmp_path: Path, given: Mapping[str, object], expected: Change
) -> None:
    handler = command(program(tmp_path, f"print(json.dumps({{'changes': [{given!r}]}}))"))
    assert handler.plan(KEY, {}, {}) == [expected]


def test_changes_of_one_phase_and_group_come_in_one_call(tmp_path: Path) -> None:
    log = tmp_path / "log"
    counted = program(
        tmp_path,
        f"""
made = os.path.exists({str(log)!r})
if verb == "observe":
    print(json.dumps({{"states": {{key: {{"present": made}} for key in question["keys"]}}}}))
elif verb == "plan":
    print(json.dumps({{"changes": [] if made else [{{"verb": "make", "group": "all"}}]}}))
else:
    with open({str(log)!r}, "a") as file:
        file.write(f"{{len(question['changes'])}}\\n")
""",
    )
    handler = command(counted)
    Ledger().claim(handler, *({**PAGE, "name": f"u{n}"} for n in range(5))).run(handler)
    assert log.read_text() == "5\n"


# What is answered.


@pytest.mark.parametrize("kind", [Conflict, Permanent, Transient, NotReady, Unavailable, Unknown])
def test_an_error_that_is_named_is_raised_with_its_advice(
    tmp_path: Path, kind: type[Fault]
) -> None:
    error = {"type": kind.__name__, "message": "the wiki is full", "advice": "tidy up"}
    handler = command(program(tmp_path, f"print(json.dumps({{'error': {error!r}}}))"))
    with pytest.raises(kind) as raised:
        handler.apply([])
    assert type(raised.value) is kind
    assert "the wiki is full" in raised.value.message
    assert raised.value.advice == "tidy up"


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("print(json.dumps({'error': {'type': 'Refused'}}))", Permanent, "without a message"),
        ("print(json.dumps({'error': {'message': 'no'}})); sys.exit(3)", Permanent, "no"),
        ("sys.exit('the wiki is down')", Transient, "the wiki is down"),
        ("print('{}'); sys.exit(3)", Transient, "exited with 3"),
        ("os.kill(os.getpid(), 9)", Transient, "exited with -9"),
        ("print('not JSON')", Permanent, "not JSON"),
        ("print('[]')", Permanent, "did not print a JSON mapping"),
        ("print('{} {}')", Permanent, "did not print a JSON mapping"),
        ("print('{}')", Permanent, "`states`"),
        ("pass", Permanent, "`states`"),
        ("print(json.dumps({'states': []}))", Permanent, "`states`"),
        ("print('[' * 3000)", Permanent, "did not print a JSON mapping"),
    ],
)
def test_an_answer_that_is_none_is_a_fault(
    tmp_path: Path, text: str, kind: type[Fault], said: str
) -> None:
    with pytest.raises(Fault) as raised:
        command(program(tmp_path, text)).observe([KEY])
    assert type(raised.value) is kind
    assert said in raised.value.message


@pytest.mark.parametrize(
    "state", [None, [], "there", {}, {"present": "yes"}, {"present": 1}, {"there": True}]
)
def test_a_state_without_present_is_its_objects_own_fault(tmp_path: Path, state: object) -> None:
    states = {KEY: state, "wiki/page/asmith": {"present": True}}
    handler = command(program(tmp_path, f"print(json.dumps({{'states': {states!r}}}))"))
    seen = handler.observe([KEY, "wiki/page/asmith", "wiki/page/unsaid"])
    assert seen["wiki/page/asmith"] == {"present": True}
    assert isinstance(seen[KEY], Permanent)
    assert isinstance(seen["wiki/page/unsaid"], Permanent)


@pytest.mark.parametrize(
    "changes",
    ["none", None, [None], [{}], [{"text": "make it"}], [{"verb": "make", "phase": "first"}]],
)
def test_a_plan_that_is_none_is_a_fault(tmp_path: Path, changes: object) -> None:
    handler = command(program(tmp_path, f"print(json.dumps({{'changes': {changes!r}}}))"))
    with pytest.raises(Permanent):
        handler.plan(KEY, {}, {})


@pytest.mark.parametrize(
    ("verb", "kind"), [("observe", Unavailable), ("plan", Unavailable), ("apply", Unknown)]
)
def test_no_answer_in_time_leaves_a_write_open_and_a_question_unanswered(
    tmp_path: Path, verb: str, kind: type[Fault]
) -> None:
    handler = command(program(tmp_path, "time.sleep(60)"), timeout=0.3)
    asked: dict[str, Callable[[], object]] = {
        "observe": lambda: handler.observe([KEY]),
        "plan": lambda: handler.plan(KEY, {}, {}),
        "apply": lambda: handler.apply([]),
    }
    with pytest.raises(kind):
        asked[verb]()


def test_a_program_that_is_not_there_is_found_by_the_doctor(tmp_path: Path) -> None:
    handler = command(tmp_path / "nowhere")
    with pytest.raises(Unavailable, match="nowhere cannot be run"):
        handler.observe([KEY])
    (finding,) = handler.check()
    assert finding.level is Level.ERROR
    assert "nowhere" in finding.message


# Parameters.


def test_whatever_else_a_step_says_is_wanted(wiki: Command) -> None:
    more = {"tags": ["a", "b"], "quota": {"files": 3}, "owner": KnownAfter("account")}
    ((key, want),) = wiki.claims({**PAGE, **more}).items()
    assert key == KEY
    assert want == {"present": True, "name": "jdoe", "title": "J. Doe", **more}


def test_an_object_without_a_kind_is_an_object(wiki: Command) -> None:
    assert list(wiki.claims({"name": "jdoe"})) == ["wiki/object/jdoe"]


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("name", {"title": "x"}),
        ("name", {"name": "../x"}),
        ("name", {"name": "x y"}),
        ("name", {"name": "X"}),
        ("kind", {"name": "x", "kind": "a/b"}),
        ("when", {"name": "x", "when": object()}),
        ("tags", {"name": "x", "tags": [{1}]}),
    ],
)
def test_a_parameter_that_is_no_plain_value_is_refused(
    wiki: Command, field: str, params: Mapping[str, object]
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        wiki.claims(params)
    assert raised.value.field == field


def test_of_two_claims_the_last_by_name_says_what_both_speak_of(wiki: Command) -> None:
    one, other = (Ledger().claim(wiki, {**PAGE, "title": t}).claims[KEY][0] for t in ("A", "B"))
    later = type(other)("z", other.want)
    assert wiki.merge(KEY, [later, one], None)["title"] == "B"
    assert wiki.merge(KEY, [one, later], None)["title"] == "B"


def test_outputs_are_the_plain_values_of_a_state(wiki: Command) -> None:
    state: State = {"present": True, "id": 7, "path": "/x", "tags": ["a"], "none": None}
    assert wiki.outputs(state) == {"present": True, "id": 7, "path": "/x", "none": None}


def test_a_program_has_a_lane_of_its_own_unless_it_shares_one(pages: Path) -> None:
    assert command(SAMPLE, pages).lane == "command:wiki"
    assert command(SAMPLE, pages, lane="web").lane == "web"
