"""Templates: the configuration's expressions are evaluated, in a sandbox; a request never is."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.contract import ConfigError, InvalidRequest, KnownAfter
from provisioner.routing.expressions import Pending, compile_value, references, render_text

VALUES: dict[str, Any] = {
    "user": {"name": "jdoe", "uid": 2001, "gid": None, "groups": ("a", "b"), "get": "got"},
    "quota": {"space": 5 << 40},
    "steps": {"account": {"output": {"uid": 7}}, "late": {"output": Pending("late")}},
    "flag": False,
}


def render(template: object) -> Any:
    return compile_value(template)(VALUES)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ user.uid }}", 2001),
        ("{{user.uid}}", 2001),
        ("  {{ user.uid }}\n", 2001),
        ("{{ user.gid }}", None),
        ("{{ user.groups }}", ("a", "b")),
        ("{{ user }}", VALUES["user"]),
        ("{{ flag }}", False),
        ("{{ not flag }}", True),
        ("{{ true }}", True),
        ("{{ none }}", None),
        ("{{ user.uid + 1 }}", 2002),
        ("{{ user.name | upper }}", "JDOE"),
        ("{{ user['name'] }}", "jdoe"),
        ("{{ user.groups | list }}", ["a", "b"]),
        ("{{ user.shell | default('/bin/bash') }}", "/bin/bash"),
        ("{{ first(user.gid, user.uid, 5) }}", 2001),
        ("{{ first(user.gid) }}", None),
        ("{{ steps.account.output.uid }}", 7),
        ("{{ {'a': 1}['a'] }}", 1),
        ("{{ user.get }}", "got"),
    ],
)
def test_a_whole_expression_keeps_its_type(template: str, value: object) -> None:
    found = render(template)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("/home/{{ user.name }}", "/home/jdoe"),
        ("{{ user.uid }}{{ user.uid }}", "20012001"),
        ("u{{ user.uid }}", "u2001"),
        ("{% for g in user.groups %}{{ g }}/{% endfor %}", "a/b/"),
        ("{% if flag %}yes{% endif %}", ""),
        ("plain", "plain"),
        ("5", "5"),
        ("{ no } [expression]", "{ no } [expression]"),
    ],
)
def test_text_with_expressions_gives_text(template: str, text: str) -> None:
    assert render(template) == text


def test_a_tree_is_rendered_leaf_by_leaf() -> None:
    tree = {"a": ["{{ user.uid }}", {"b": "x{{ user.uid }}"}], "c": 5, "d": None}
    assert render(tree) == {"a": [2001, {"b": "x2001"}], "c": 5, "d": None}


@pytest.mark.parametrize(
    "content", ["{{ 7 * 7 }}", "{% raw %}", "{# #}", "{{ user.name }}", "${7*7}", "{{"]
)
@pytest.mark.parametrize("template", ["{{ title }}", "{{ title | trim }}", "of {{ title }}"])
def test_what_a_request_contains_is_never_evaluated(template: str, content: str) -> None:
    found = compile_value(template)({"title": content})
    assert found == (f"of {content}" if template.startswith("of") else content)


# What is absent.


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("/home/{{ user.gid }}", "user.gid"),
        ("{{ user.name }}:{{ user.gid }}", "user.gid"),
        ("{{ user.gid }}{{ first(user.gid) }}", "user.gid, first(user.gid)"),
        ("{{ none }}.", "none"),
        ("{%- if true -%} {{- user.gid -}} {%- endif -%}", "user.gid"),
        ("{% for g in [none] %}{{ g }}{% endfor %}", "an expression"),
    ],
)
def test_an_absent_value_is_no_part_of_a_text(template: str, named: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        render(template)
    assert raised.value.message == f"{template}: {named} has no value"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("/home/{{ user.gid or user.name }}", "/home/jdoe"),
        ("/home/{{ first(user.gid, user.name) }}", "/home/jdoe"),
        ("a{% if user.gid %}{{ user.gid }}{% endif %}", "a"),
        ("a{{ user.gid or '' }}", "a"),
        ("a{{ flag }}", "aFalse"),
    ],
)
def test_a_text_may_do_without_an_absent_value(template: str, text: str) -> None:
    assert render(template) == text


# What is known only later.


@pytest.mark.parametrize(
    "template",
    [
        "{{ steps.late.output.uid }}",
        "{{ steps.late.output['uid'] }}",
        "{{ steps.late.output }}",
        "{{ steps.late.output | list }}",
        "{{ steps.late.output.uid + 1 }}",
        "{{ first(steps.late.output.uid, user.uid) }}",
        "{{ first(user.gid, steps.late.output.uid) }}",
        "{{ steps.late.output.uid | default(5) }}",
        "/home/{{ steps.late.output.name }}",
        "{% if steps.late.output.uid %}a{% endif %}",
    ],
)
def test_what_a_later_step_gives_is_known_after_it(template: str) -> None:
    assert render(template) == KnownAfter("late")


def test_what_is_known_is_not_held_up_by_what_is_not() -> None:
    found = render({"a": "{{ user.uid }}", "b": "{{ steps.late.output.uid }}"})
    assert found == {"a": 2001, "b": KnownAfter("late")}


def test_a_branch_that_is_not_taken_is_not_waited_for() -> None:
    assert render("{{ user.uid or steps.late.output.uid }}") == 2001


@pytest.mark.parametrize(
    ("template", "steps"),
    [
        ("{{ steps.a.output.uid }}", {"a"}),
        ("{{ steps['a'].output.uid }}", {"a"}),
        ("{{ first(steps.a.output.x, steps.b.output.y) }}", {"a", "b"}),
        ("x{% if steps.a.output.x %}{{ steps.b.output.y }}{% endif %}", {"a", "b"}),
        ({"p": ["{{ steps.a.output.x }}", {"q": "{{ steps.b.output.x }}"}]}, {"a", "b"}),
        ("{{ user.steps.a }}", set()),
        ("steps.a.output.uid", set()),
        (5, set()),
    ],
)
def test_the_steps_that_a_parameter_uses_are_found(template: object, steps: set[str]) -> None:
    assert references(template) == steps


@pytest.mark.parametrize(
    "template",
    [
        "{{ steps }}",
        "{{ steps.a }}",
        "{{ steps['a'] }}",
        "{{ steps.a.outputs.uid }}",
        "{{ steps.a.uid }}",
        "{{ steps[user.name].output.uid }}",
        "{{ steps.a.output.uid or steps.b }}",
        "of {{ steps.a }}",
    ],
)
def test_a_step_is_good_for_its_output_alone(template: str) -> None:
    with pytest.raises(ConfigError, match="uses `steps` for something other") as raised:
        references(template)
    assert template in raised.value.message
    assert raised.value.advice == "write `steps.NAME.output.WHAT`"


# What goes wrong.


@pytest.mark.parametrize(
    ("template", "missing"),
    [
        ("{{ nobody }}", "nobody"),
        ("{{ user.shell }}", "shell"),
        ("{{ user.shell.path }}", "shell"),
        ("{{ user.name.first }}", "first"),
        ("{{ user.gid.name }}", "name"),
        ("{{ user['shell'] }}", "shell"),
        ("{{ user.shell or none }}", "shell"),
        ("{{ nobody | upper }}", "nobody"),
        ("{{ nobody }} and more", "nobody"),
        ("{% for g in nobody %}{% endfor %}", "nobody"),
        ("{{ steps.other.output.uid }}", "other"),
        ("{{ user.items() }}", "items"),
    ],
)
def test_what_is_undefined_is_named_with_its_expression(template: str, missing: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        render(template)
    assert template in raised.value.message
    assert f"'{missing}'" in raised.value.message.removeprefix(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ user. }}",
        "{{ }}",
        "{{ a b }}",
        "{{ a",
        "{% if a %}",
        "{% nothing %}",
        "{{ a | nofilter }}",
    ],
)
def test_an_expression_that_is_none_is_the_configurations_fault(template: str) -> None:
    with pytest.raises(ConfigError, match="is not a template") as raised:
        compile_value(template)
    assert template in raised.value.message


@pytest.mark.parametrize("template", ["{{ steps.a b }}", "{{ a", "{% if %}"])
def test_references_of_no_template_are_the_configurations_fault(template: str) -> None:
    with pytest.raises(ConfigError, match="is not a template"):
        references(template)


@pytest.mark.parametrize("template", ["{{ 1 / 0 }}", "{{ user.uid + 'a' }}", "{{ user.uid() }}"])
def test_an_expression_that_fails_is_named(template: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        render(template)
    assert template in raised.value.message


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__ }}",
        "{{ user.__class__ }}",
        "{{ user.name.__class__ }}",
        "{{ user['__class__'] }}",
        "{{ user | attr('__class__') }}",
        "{{ ''['__class__'].__mro__ }}",
        "{{ ().__class__.__base__.__subclasses__() }}",
        "{{ first.__globals__ }}",
        "{{ first.__globals__['__builtins__'] }}",
        "{{ range.__self__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(user) }}",
        "{{ '{a.__class__}'.format_map({'a': user}) }}",
        "{{ '%s'.format.__self__.__class__ }}",
        "{{ user.update({'name': 'root'}) }}",
        "{{ user.pop('name') }}",
        "{{ user.groups.__add__(('wheel',)) }}",
        "{{ [].append(1) }}",
        "{{ range(10000000) | length }}",
        "{{ cycler }}",
        "{{ lipsum.__globals__ }}",
        "{{ namespace }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}{{ os }}",
    ],
)
def test_the_sandbox_holds(attack: str) -> None:
    before = repr(VALUES)
    with pytest.raises(InvalidRequest):
        render(attack)
    assert repr(VALUES) == before


# Texts.


def test_a_text_is_rendered_to_text_and_keeps_its_last_line_end() -> None:
    assert render_text("uid {{ user.uid }}\n", VALUES) == "uid 2001\n"
    assert render_text("{{ user.uid }}", VALUES) == "2001"


@pytest.mark.parametrize("template", ["{{ user.gid }}", "gid {{ user.gid }}\n"])
def test_a_text_of_nothing_is_none(template: str) -> None:
    with pytest.raises(InvalidRequest, match=r"user\.gid has no value"):
        render_text(template, VALUES)


def test_a_long_template_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidRequest) as raised:
        render_text("{{ user.gid }}" + "x" * 1000, VALUES)
    assert len(raised.value.message) < 400


def test_nothing_is_escaped_for_html() -> None:
    assert render_text("<{{ a }}>", {"a": "<&'\">"}) == "<<&'\">>"
