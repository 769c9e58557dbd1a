"""What is wrong with a step's parameter is told by the key of the file that it was taken from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.contract import InvalidRequest, Permanent
from provisioner.request.documents import InvalidDocument
from provisioner.request.places import dotted
from provisioner.request.request import Request, parse_request
from provisioner.routing.expressions import reads
from provisioner.routing.source_keys import People, origin, problem
from tests.support.routing_site import Site

ALLOCATION = """\
provisioner: 1
action: allocation.provision
allocation:
  id: 42
  resource: a
  project:
    code: CF3
  users:
    - jdoe
    - asmith
  slurm:
    qos: [normal, lang]
    specs: GrpTRE=cpu=4
  attributes: {tier: fast}
"""
USER = "provisioner: 1\naction: user.provision\nuser:\n  name: jdoe\n  uid: 7\n"
MEMBER = """\
provisioner: 1
action: membership.add
membership:
  user: jdoe
  allocation:
    id: 42
    resource: a
    project: {code: CF3}
"""
PROJECT = """\
provisioner: 1
action: project.provision
project:
  code: CF3
  users: [jdoe, asmith]
"""


def of(text: str) -> Request:
    return parse_request(text.encode())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "provisioner.yaml")


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("{{ user.name }}", [("user", "name")]),
        ("{{ user['name'] }}", [("user", "name")]),
        ("{{ (a.b or c.d) | lower }}", [("a", "b"), ("c", "d")]),
        ("{{ a.b if c.d else e }}", [("c", "d"), ("a", "b"), ("e",)]),
        ("/home/{{ a.b }}/{{ c }}", [("a", "b"), ("c",)]),
        (["{{ a }}", {"x": "{{ b.c }}"}], [("a",), ("b", "c")]),
        ("plain", []),
        (5, []),
    ],
)
def test_the_names_that_an_expression_reads(template: object, names: list[tuple[str, ...]]) -> None:
    assert reads(template) == names


@pytest.mark.parametrize(
    ("text", "templates", "field", "item", "key", "line"),
    [
        (USER, {"uid": "{{ user.uid }}"}, "uid", "", "user.uid", 5),
        (USER, {"uid": "{{ first(steps.a.output.uid, user.uid) }}"}, "uid", "", "user.uid", 5),
        (USER, {"shell": "{{ user.shell }}"}, "shell", "", "user.shell", 3),
        (USER, {"name": "{{ user }}"}, "name", "jdoe", "user.name", 4),
        (USER, {"uid": "7"}, "uid", "", "", None),
        (USER, {"name": "{{ user.name }}"}, "adopt", "", "", None),
        (USER, {"uid": "{{ steps.a.output.uid }}"}, "uid", "", "", None),
        (
            ALLOCATION,
            {"account": "{{ (allocation.slurm.account or project.code) | lower }}"},
            "account",
            "",
            "allocation.project.code",
            7,
        ),
        (ALLOCATION, {"user": "{{ user }}"}, "user", "asmith", "allocation.users[2]", 10),
        (ALLOCATION, {"q": "{{ allocation.slurm.qos }}"}, "q.1", "", "allocation.slurm.qos[2]", 12),
        (ALLOCATION, {"x": {"a": ["{{ allocation.slurm.specs }}"]}}, "x.a.0", "",
         "allocation.slurm.specs", 13),
        (ALLOCATION, {"x": "{{ allocation.attributes.tier }}"}, "x", "",
         "allocation.attributes.tier", 14),
        (MEMBER, {"user": "{{ user }}"}, "user", "jdoe", "membership.user", 4),
        (MEMBER, {"a": "{{ project.code }}"}, "a", "", "membership.allocation.project.code", 8),
        (MEMBER, {"a": "{{ allocation.id }}"}, "a", "", "membership.allocation.id", 6),
        (PROJECT, {"user": "{{ user }}"}, "user", "asmith", "project.users[2]", 5),
    ],
)  # fmt: skip
def test_a_parameter_is_traced_to_the_key_that_its_expression_reads(
    text: str, templates: dict[str, object], field: str, item: str, key: str, line: int | None
) -> None:
    request = of(text)
    found = origin(request, templates, field, People(request)[item] if item else ())
    assert dotted(found) == key
    assert request.line_of(found) == line


def test_a_person_who_is_not_in_the_list_has_the_key_of_the_list() -> None:
    people = People(of(ALLOCATION))
    assert [dotted(people[name]) for name in ("asmith", "nobody")] == [
        "allocation.users[2]",
        "allocation.users",
    ]


def test_a_problem_says_line_key_step_parameter_and_what_was_expected() -> None:
    fault = InvalidRequest("'x' is no id", field="number", expected="1 to 9", nearest="5")
    told = problem(of(USER), fault, "step a (ad)", {"number": "{{ user.uid }}"})
    assert str(told) == (
        "line 5: user.uid: step a (ad), number: 'x' is no id; expected 1 to 9; did you mean '5'?"
    )


def test_what_no_key_of_the_file_gives_names_the_steps_parameter() -> None:
    fault = InvalidRequest("'x' is no id", field="number")
    told = problem(of(USER), fault, "step a (ad)", {"number": "x"})
    assert str(told) == "step a (ad), number: 'x' is no id"


def test_any_other_fault_is_told_with_its_advice() -> None:
    told = problem(of(USER), Permanent("it is broken", advice="mend it"), "step a (ad)", {})
    assert str(told) == "step a (ad): it is broken; what to do: mend it"


def test_every_user_that_a_handler_refuses_is_told_with_their_line(site: Site) -> None:
    router = site.router(
        "handlers: {x: {use: one}}\nresources: {a: {handlers: [x]}}\nroutes: "
        "{allocation.provision: [{name: s, handler: x, each: user, with: {item: '{{ user }}'}}]}"
    )
    users = ALLOCATION.replace("jdoe", "bad").replace("asmith", "worse")
    with pytest.raises(InvalidDocument) as raised:
        router.route(of(users))
    assert [(p.line, p.key, p.nearest) for p in raised.value.problems] == [
        (9, "allocation.users[1]", "good"),
        (10, "allocation.users[2]", "good"),
    ]


LATER = (
    "handlers: {x: {use: one}, y: {use: two}}\nroutes: {user.provision: [{name: a, handler: x, "
    "with: {item: a}}, {name: b, handler: y, with: "
    "{item: '{{ first(steps.a.output.name, user.name) }}'}}]}"
)


def test_a_value_that_a_step_gave_and_is_wrong_names_the_step_and_no_line(site: Site) -> None:
    with pytest.raises(InvalidRequest) as raised:
        site.router(LATER).bind(of(USER), "b", {("a", ""): {"name": "bad"}})
    assert (raised.value.line, raised.value.field) == (None, "")
    assert "step b (y), item: 'bad' is no item; it is the output of step a" in raised.value.message


def test_a_value_that_is_the_requests_names_its_line_where_no_step_gave_another(
    site: Site,
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        site.router(LATER).bind(of(USER.replace("jdoe", "bad")), "b", {("a", ""): {}})
    assert (raised.value.line, raised.value.field) == (4, "user.name")
    assert "step b (y), item: 'bad' is no item" in raised.value.message


def test_a_condition_that_cannot_be_decided_names_its_key(site: Site) -> None:
    router = site.router(
        "handlers: {x: {use: one}}\nroutes: {user.provision: [{name: s, handler: x, "
        "when: user.attributes.staff == 'yes', with: {item: a}}]}"
    )
    with pytest.raises(InvalidDocument) as raised:
        router.route(of(USER))
    [told] = raised.value.problems
    assert (told.line, told.key) == (3, "user.attributes.staff")


def test_an_unknown_resource_hides_nothing_else(site: Site) -> None:
    router = site.router(
        "handlers: {x: {use: one}}\nresources: {aa: {handlers: [x]}}\nroutes: "
        "{allocation.provision: [{name: s, handler: x, with: {item: '{{ project.code }}'}}]}"
    )
    with pytest.raises(InvalidDocument) as raised:
        router.route(of(ALLOCATION.replace("CF3", "bad")))
    assert [(p.line, p.key, p.nearest) for p in raised.value.problems] == [
        (5, "allocation.resource", "aa"),
        (7, "allocation.project.code", "good"),
    ]


class Listed(tuple[str, ...]):
    """Users that count how often somebody looks for one among them."""

    looks = 0

    def index(self, *sought: Any) -> int:
        Listed.looks += 1
        return super().index(*sought)

    def __contains__(self, sought: object) -> bool:
        Listed.looks += 1
        return super().__contains__(sought)


def test_users_are_not_looked_for_in_their_list_one_by_one(site: Site) -> None:
    router = site.router(
        "handlers: {x: {use: one}}\nresources: {a: {handlers: [x]}}\nroutes: "
        "{allocation.provision: [{name: s, handler: x, each: user, with: {item: '{{ user }}'}}]}"
    )
    request = of(ALLOCATION)
    users = Listed(("bad", "worse"))
    allocation = {**request.values["allocation"], "users": users}
    request = replace(request, users=users, values={**request.values, "allocation": allocation})
    with pytest.raises(InvalidDocument) as raised:
        router.route(request)
    keys = [one.key for one in raised.value.problems]
    assert (keys, Listed.looks) == (["allocation.users[1]", "allocation.users[2]"], 0)
