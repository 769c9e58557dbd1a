"""The request format: every action, every error at once, names checked strictly, one schema."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from provisioner.request.actions import ACTIONS
from provisioner.request.documents import InvalidDocument, Problem, parse
from provisioner.request.request import Order, Request, json_schema, parse_request

SAMPLES = sorted((Path(__file__).parents[3] / "templates/requests").iterdir())
WRONG = [path for path in SAMPLES if path.name.startswith("wrong")]
RIGHT = [path for path in SAMPLES if path not in WRONG]


def request(action: str, body: str = "") -> Request:
    return parse_request(f"provisioner: 1\naction: {action}\n{body}".encode())


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InvalidDocument) as raised:
        parse_request(text.encode())
    return raised.value.problems


def wrong(action: str, body: str) -> list[tuple[int | None, str]]:
    found = problems(f"provisioner: 1\naction: {action}\n{body}")
    return [(problem.line, problem.key) for problem in found]


# Every action.

ALLOCATION = "{id: 42, resource: a, project: {code: CF3}, users: [jdoe, asmith, jdoe]}"
MANIFEST = f"{{file: all.jsonl, size: 9, sha256: {'0' * 64}}}"
MEMBERSHIP = "{user: jdoe, allocation: {id: 42, resource: a, project: {code: CF3}}}"
ABOUT: dict[str, tuple[str, str, str | None, tuple[str, ...]]] = {
    "user.provision": ("user: {name: jdoe}", "user:jdoe", None, ("jdoe",)),
    "user.suspend": ("user: {name: jdoe}", "user:jdoe", None, ("jdoe",)),
    "user.resume": ("user: {name: jdoe}", "user:jdoe", None, ("jdoe",)),
    "project.provision": ("project: {code: CF3, users: [b, a]}", "project:CF3", None, ("b", "a")),
    "project.archive": ("project: {code: CF3}", "project:CF3", None, ()),
    "allocation.provision": (
        f"allocation: {ALLOCATION}",
        "allocation:42",
        "a",
        ("jdoe", "asmith"),
    ),
    "allocation.suspend": ("allocation: {id: 42}", "allocation:42", None, ()),
    "allocation.resume": ("allocation: {id: 42, resource: a}", "allocation:42", "a", ()),
    "membership.add": (f"membership: {MEMBERSHIP}", "allocation:42/user:jdoe", "a", ("jdoe",)),
    "membership.remove": (
        "membership: {user: jdoe, allocation: {id: 42}}",
        "allocation:42/user:jdoe",
        None,
        ("jdoe",),
    ),
    "reconcile": ("as_of: 2026-01-01T00:00:00Z", "site:", None, ()),
    "adopt": (f"manifest: {MANIFEST}", "site:", None, ()),
    "request.retry": ("request: 01M83R3DXD", "request:01M83R3DXD", None, ()),
    "request.hold": ("request: a b.yaml", "request:a b.yaml", None, ()),
    "request.release": ("request: a", "request:a", None, ()),
    "request.cancel": ("request: a", "request:a", None, ()),
    "request.dismiss": ("request: a", "request:a", None, ()),
    "lane.pause": ("lane: slurm:dbd", "lane:slurm:dbd", None, ()),
    "journal.release": ("", "site:", None, ()),
    "lane.unpause": ("lane: slurm:dbd", "lane:slurm:dbd", None, ()),
}
"""For each action a body, and what it is about: subject, resource, users."""


def test_the_actions_are_these() -> None:
    assert set(ABOUT) == set(ACTIONS)


@pytest.mark.parametrize("action", ABOUT)
def test_every_action_is_parsed(action: str) -> None:
    body, subject, resource, users = ABOUT[action]
    parsed = request(action, body)
    assert (parsed.action, parsed.subject) == (action, subject)
    assert (parsed.resource, parsed.users) == (resource, users)


def test_json_says_the_same() -> None:
    text = '{"provisioner": 1, "action": "user.provision", "user": {"name": "jdoe", "uid": 2001}}'
    assert parse_request(text.encode()) == request(
        "user.provision", "user: {name: jdoe, uid: 2001}"
    )


def test_the_envelope_is_typed() -> None:
    parsed = request(
        "user.provision",
        "user: {name: jdoe}\nid: cf-1\norder: {key: user-7, number: 17}\nreason: ticket 8812\n"
        "expires: 2026-12-24T01:00:00+01:00\nnot_before: 2026-12-01T00:00:00Z\nadopt: yes\n",
    )
    assert (parsed.id, parsed.order, parsed.reason) == ("cf-1", Order("user-7", 17), "ticket 8812")
    assert parsed.expires == datetime(2026, 12, 24, tzinfo=UTC)
    assert parsed.not_before == datetime(2026, 12, 1, tzinfo=UTC)
    assert parsed.adopt is True


@pytest.mark.parametrize(
    ("written", "path", "value"),
    [
        ("project: {code: 017}", ("project", "code"), "017"),
        ("project: {code: no}", ("project", "code"), "no"),
        ("project: {code: 1e3}", ("project", "code"), "1e3"),
        ("project: {code: C, gid: '2001'}", ("project", "gid"), 2001),
        ("project: {code: C}", ("project", "title"), None),
        ("quota: {space: 5TiB}", ("quota", "space"), 5 << 40),
        ("quota: {space: 1024}", ("quota", "space"), 1024),
        ("quota: {files: 2000000}", ("quota", "files"), 2_000_000),
        ("slurm: {qos: [a, b]}", ("slurm", "qos"), ("a", "b")),
        ("slurm: {partitions: [gpu, no]}", ("slurm", "partitions"), ("gpu", "no")),
        ("attributes: {a: 12:30:45}", ("attributes", "a"), "12:30:45"),
        ("attributes: {a: [no, 2]}", ("attributes", "a"), ["no", "2"]),
    ],
)
def test_a_scalar_is_text_until_the_schema_gives_it_a_type(
    written: str, path: tuple[str, ...], value: object
) -> None:
    project = "" if written.startswith("project") else ", project: {code: C}"
    parsed = request(
        "allocation.provision", f"allocation: {{id: 1, resource: a{project}, {written}}}"
    )
    found: Any = parsed.values["allocation"]
    for part in path:
        found = found[part]
    assert (found, type(found)) == (value, type(value))


def test_a_membership_offers_what_its_allocation_does() -> None:
    values = request("membership.add", f"membership: {MEMBERSHIP}").values
    assert values["allocation"]["users"] == ("jdoe",)
    assert values["project"] == values["membership"]["allocation"]["project"]


# Every error at once.


def test_all_errors_are_told_at_once_in_the_order_of_the_file() -> None:
    text = """\
provisioner: 2
action: allocation.provison
allocation:
  id: 42
  project:
    code: CF3
    titel: Folding
  users:
    - jdoe
    - J Doe
  quota: {space: 5TX}
  storage:
    kind: indepndent
expires: 2026-12-24
ordr: {key: a}
"""
    assert [(p.line, p.key, p.nearest) for p in problems(text)] == [
        (1, "provisioner", ""),
        (2, "action", "allocation.provision"),
        (3, "allocation.resource", ""),
        (7, "allocation.project.titel", "title"),
        (10, "allocation.users[2]", ""),
        (11, "allocation.quota.space", ""),
        (13, "allocation.storage.kind", "independent"),
        (14, "expires", ""),
        (15, "ordr", "order"),
    ]


def test_the_wrong_sample_shows_its_three_mistakes() -> None:
    [path] = WRONG
    found = problems(path.read_text())
    assert [(p.line, p.key, p.nearest) for p in found] == [
        (3, "action", "allocation.provision"),
        (7, "allocation.project.titel", "title"),
        (9, "allocation.quota.space", ""),
    ]
    assert str(found[2]) == (
        "line 9: allocation.quota.space: '5TX' is not a size; "
        "expected a size such as 5TiB, 500 GB, or a number of bytes"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "user: {name: a}",
            "line 1: provisioner: missing; expected 1",
        ),
        (
            "provisioner: 1.0\naction: user.suspend\nuser: {name: a}",
            "line 1: provisioner: version '1.0' is not known; expected 1",
        ),
        (
            "provisioner: 1\naction: user.suspend\nuser: {nam: jdoe}",
            "line 3: user.nam: unknown key; expected one of name; did you mean 'name'?",
        ),
        (
            "provisioner: 1\naction: user.suspend\nuser: {}",
            "line 3: user.name: missing; expected a user's login name, such as jdoe",
        ),
        (
            "provisioner: 1\naction: user.provision\nuser: {name: a, uid: zero}",
            "line 3: user.uid: 'zero': not a whole number; expected a whole number from "
            "1 to 4294967293",
        ),
        (
            "provisioner: 1\naction: user.provision\nuser: {name: a, shell: bash}",
            "line 3: user.shell: 'bash': not an absolute path of plain names; expected login "
            "shell, such as /bin/bash",
        ),
    ],
)
def test_an_error_says_line_key_and_what_was_expected(text: str, problem: str) -> None:
    assert problem in map(str, problems(text))


@pytest.mark.parametrize(
    ("action", "nearest"),
    [
        ("user.provison", "user.provision"),
        ("user_provision", "user.provision"),
        ("allocation.suspended", "allocation.suspend"),
        ("reconsile", "reconcile"),
        ("frobnicate", ""),
    ],
)
def test_a_misspelt_action_gets_the_nearest_and_all_that_there_are(
    action: str, nearest: str
) -> None:
    [found] = [p for p in problems(f"provisioner: 1\naction: {action}\n") if p.key == "action"]
    assert (found.nearest, found.line) == (nearest, 2)
    assert all(known in found.expected for known in ACTIONS)


@pytest.mark.parametrize(
    ("action", "body", "found"),
    [
        ("user.provision", "user: jdoe", [(3, "user")]),
        ("user.provision", "user:\n", [(3, "user")]),
        ("user.provision", "user: [jdoe]", [(3, "user")]),
        ("user.provision", "", [(1, "user")]),
        ("user.provision", "user: {name: [a]}", [(3, "user.name")]),
        ("user.provision", "user: {name: {a: b}}", [(3, "user.name")]),
        (
            "user.provision",
            "user: {name: a, attributes: {b: {c: d}}}",
            [(3, "user.attributes.b")],
        ),
        ("user.provision", "user: {name: a, attributes: {b c: d}}", [(3, "user.attributes.b c")]),
        ("user.provision", "user:\n  name: a\n  groups: b\n", [(5, "user.groups")]),
        ("user.provision", "user: {name: a}\nproject: {code: b}", [(4, "project")]),
        ("user.suspend", "user: {name: a, email: b@c}", [(3, "user.email")]),
        ("user.provision", "user: {name: a}\ncause: b", [(4, "cause")]),
        ("user.provision", "user: {name: a}\norder: {key: b, number: -1}", [(4, "order.number")]),
        ("user.provision", "user: {name: a}\nexpires: 2026-12-24T00:00:00", [(4, "expires")]),
        ("user.provision", "user: {name: a}\nnot_before: tomorrow", [(4, "not_before")]),
        ("user.provision", "user: {name: a}\nends: 9999-12-31T23:59:59-12:00", [(4, "ends")]),
        ("user.provision", "user: {name: a}\nexpires: 0001-01-01T00:00:00+14:00", [(4, "expires")]),
        ("user.provision", "user: {name: a}\nadopt: perhaps", [(4, "adopt")]),
        (
            "allocation.provision",
            "allocation: {id: 1}",
            [(3, "allocation.project"), (3, "allocation.resource")],
        ),
        (
            "project.provision",
            "project: {code: c, users: [a, B, c, D]}",
            [(3, "project.users[2]"), (3, "project.users[4]")],
        ),
        ("reconcile", "manifest: {file: a, size: 1, sha256: zz}", [(3, "manifest.sha256")]),
        ("request.retry", "request: ''", [(3, "request")]),
        ("lane.pause", "lane: [a]", [(3, "lane")]),
    ],
)
def test_what_a_request_may_not_say(action: str, body: str, found: list[tuple[int, str]]) -> None:
    assert wrong(action, body) == found


def test_a_document_that_is_none_is_told_before_what_it_says() -> None:
    assert [p.message for p in problems("a: *b")] == ["alias *b"]


@pytest.mark.parametrize("text", ["", "# later"])
def test_a_request_of_nothing_is_told_how_one_begins(text: str) -> None:
    [problem] = problems(text)
    assert problem.expected == "a request, beginning with `provisioner: 1`"


# The schema.

SCHEMA = json_schema()


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert {*SCHEMA["$defs"]} >= {model.__name__ for model in ACTIONS.values()}


def refusals(document: object) -> int:
    return len(list(Draft202012Validator(SCHEMA).iter_errors(document)))


@pytest.mark.parametrize(
    "load", [yaml.safe_load, lambda data: parse(data).value], ids=["typed", "text"]
)
@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.name)
def test_the_schema_takes_every_right_sample_as_an_editor_reads_it_and_as_we_do(
    path: Path, load: Any
) -> None:
    assert refusals(load(path.read_bytes())) == 0


@pytest.mark.parametrize(
    "load", [yaml.safe_load, lambda data: parse(data).value], ids=["typed", "text"]
)
def test_the_schema_refuses_the_wrong_sample(load: Any) -> None:
    [path] = WRONG
    assert refusals(load(path.read_bytes())) > 0


@pytest.mark.parametrize("path", RIGHT, ids=lambda path: path.name)
def test_every_right_sample_is_parsed(path: Path) -> None:
    assert parse_request(path.read_bytes()).subject


@pytest.mark.parametrize("action", ABOUT)
def test_the_schema_takes_every_action(action: str) -> None:
    text = f"provisioner: 1\naction: {action}\n{ABOUT[action][0]}"
    assert refusals(parse(text.encode()).value) == 0


@pytest.mark.parametrize(
    "body",
    [
        "project: {code: 017}",
        "project: {code: 1.5}",
        "project: {code: no}",
        "project: {code: c, title: -5}",
        "project: {code: c, title: yes, pi: no}",
        "project: {code: c, attributes: {a: -1.5, b: [no, 1]}}",
    ],
)
def test_the_schema_takes_what_only_an_editor_takes_for_a_number_or_a_boolean(body: str) -> None:
    text = f"provisioner: 1\naction: project.provision\n{body}"
    assert parse_request(text.encode())
    assert refusals(yaml.safe_load(text)) == 0


@pytest.mark.parametrize(
    "text",
    [
        "provisioner: 2\naction: user.suspend\nuser: {name: a}",
        "provisioner: 1\naction: user.suspnd\nuser: {name: a}",
        "provisioner: 1\naction: user.suspend\nuser: {nam: a}",
        "provisioner: 1\naction: user.suspend\nuser: {name: J Doe}",
        "provisioner: 1\naction: user.suspend\nuser: {name: a}\ncaus: b",
        "provisioner: 1\naction: user.provision\nuser: {name: a, uid: many}",
        "provisioner: 1\naction: user.provision\nuser: {name: a, uid: 0}",
        "provisioner: 1\naction: user.provision\nuser: {name: a, uid: '1_0'}",
        "provisioner: 1\naction: user.provision\nuser: {name: 017}",
        "provisioner: 1\naction: user.provision\nuser: {name: a, email: 5}",
        "provisioner: 1\naction: user.provision\nuser: {name: a, email: a}",
        "provisioner: 1\naction: user.provision\nuser: {name: a, shell: 5}",
        "provisioner: 1\naction: user.provision\nuser: {name: a, shell: yes}",
        "provisioner: 1\naction: user.provision\nuser: {name: a, home: jdoe}",
        "provisioner: 1\naction: user.provision\nuser: {name: a, attributes: {b c: d}}",
        "provisioner: 1\naction: user.provision\nuser: {name: a}\nexpires: 5",
        "provisioner: 1\naction: project.provision\nproject: {code: -5}",
        "provisioner: 1\naction: project.provision\nproject: {code: c, users: [5]}",
        "provisioner: 1\naction: user.provision\nuser: {name: a}\nadopt: perhaps",
    ],
)
def test_the_schema_refuses_what_the_parser_refuses(text: str) -> None:
    assert problems(text)
    assert refusals(yaml.safe_load(text)) > 0
