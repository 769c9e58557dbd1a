"""Routing: what a step is given, for whom, when, and what of it is known only later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.config.schema import load
from provisioner.contract import (
    ADOPTS,
    InvalidRequest,
    Key,
    Want,
)
from provisioner.request.request import Request
from provisioner.routing.rendering import Outputs
from provisioner.routing.router import Router
from tests.support.routing_site import (
    COMPUTE,
    MEMBERSHIP,
    Claimant,
    Site,
    allocation,
    routed,
    steps,
    user,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "provisioner.yaml")


# Parameters.


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("{{ user.uid }}", 2001),
        ("u{{ user.uid }}", "u2001"),
        ("{{ site.domain }}", "campus.test"),
        ("{{ user.name }}@{{ site.domain }}", "jdoe@campus.test"),
        ("{{ user.attributes.floor }}", "{{ 7 * 7 }}"),
    ],
)
def test_parameters_are_rendered_over_request_and_site(
    site: Site, parameter: str, value: object
) -> None:
    router = routed(site, first=f'{{item: a, p: "{parameter}"}}')
    first, _ = router.route(user(', uid: 2001, attributes: {floor: "{{ 7 * 7 }}"}'))
    assert [claim.want for claim in first.claims] == [{"p": value}]


def test_settings_of_the_resource_are_at_hand(site: Site) -> None:
    first = '{item: a, p: "{{ resource.tier }} {{ resource.name }}"}'
    router = routed(site, action="allocation.provision", first=first)
    assert router.route(allocation())[0].claims[0].want == {"p": "fast a"}


def test_what_is_absent_is_not_given_to_the_handler(site: Site) -> None:
    router = routed(site, first='{item: "{{ user.name }}", p: "{{ user.shell }}"}')
    assert router.route(user())[0].claims[0].want == {}


def test_what_is_absent_within_a_text_is_named_with_its_step(site: Site) -> None:
    router = routed(site, second='{item: other, home: "/home/{{ user.gid }}"}')
    with pytest.raises(InvalidRequest) as raised:
        router.route(user())
    assert (
        "line 3: user.gid: step second (y), home: /home/{{ user.gid }}: user.gid has no value"
        in raised.value.message
    )


def test_what_a_step_did_not_give_is_no_part_of_a_text(site: Site) -> None:
    router = routed(site, second='{item: other, home: "/home/{{ steps.first.output.gid }}"}')
    assert router.route(user())[1].late == {"first"}
    with pytest.raises(InvalidRequest, match=r"steps\.first\.output\.gid has no value"):
        router.bind(user(), "second", {("first", ""): {"uid": 7}})


def test_a_request_that_adopts_says_so_to_every_handler(site: Site) -> None:
    found = routed(site).route(user(head="adopt: true\n"))
    assert [step.claims[0].want for step in found] == [{"adopt": True, ADOPTS: True}] * 2


def test_a_request_that_adopts_says_so_in_its_claims_and_not_to_a_gate_that_takes_nothing_over(
    site: Site,
) -> None:
    class Gate(Claimant):
        def claims(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
            if "adopt" in params:
                raise InvalidRequest("adopt: Extra inputs are not permitted", field="adopt")
            return super().claims(params)

    config = load(site.file) if routed(site) else None
    assert config is not None
    handlers = {"x": Claimant("x"), "y": Gate("y")}
    kinds = {name: section.use for name, section in config.handlers.items()}
    found = Router(config, handlers, kinds).route(user(head="adopt: true\n"))
    assert [step.claims[0].want for step in found] == [
        {"adopt": True, ADOPTS: True},
        {ADOPTS: True},
    ]


LATE = '{item: "{{ user.name }}", uid: "{{ steps.first.output.uid }}"}'


def test_what_an_earlier_step_gives_is_left_open(site: Site) -> None:
    first, second = routed(site, second=LATE).route(user())
    assert (first.late, second.late) == (frozenset(), frozenset({"first"}))
    assert second.needs == ("first",)
    assert [(claim.key, claim.want) for claim in second.claims] == [("y/item/jdoe", None)]


@pytest.mark.parametrize(
    ("outputs", "want"),
    [
        ({("first", ""): {"uid": 7}}, {"uid": 7}),
        ({("first", ""): {"other": 7}}, {}),
        ({}, None),
    ],
)
def test_a_step_is_bound_with_what_the_earlier_ones_gave(
    site: Site, outputs: Outputs, want: Want | None
) -> None:
    bound = routed(site, second=LATE).bind(user(), "second", outputs)
    assert [claim.want for claim in bound.claims] == [want]


def test_a_step_that_left_the_configuration_meanwhile_is_named(site: Site) -> None:
    with pytest.raises(InvalidRequest, match="step third is no longer in the route"):
        routed(site).bind(user(), "third", {})


# Each user.


def test_each_user_has_claims_of_their_own(site: Site) -> None:
    router = routed(
        site,
        action="allocation.provision",
        first='{item: "{{ project.code }}"}',
        second='{item: "{{ user }}"}',
        more="each: user, needs: [first], ",
    )
    first, second = router.route(allocation(users="jdoe, asmith, jdoe"))
    assert [(c.claimant, c.key, c.item) for c in first.claims] == [
        ("allocation:42", "x/item/CF3", "")
    ]
    assert [(c.claimant, c.key, c.item) for c in second.claims] == [
        ("allocation:42/user:jdoe", "y/item/jdoe", "jdoe"),
        ("allocation:42/user:asmith", "y/item/asmith", "asmith"),
    ]


def test_a_member_claims_the_same_as_in_the_whole_allocation(site: Site) -> None:
    router = site.router(COMPUTE)
    whole = router.route(allocation(users="jdoe"))[-1]
    member = router.route(MEMBERSHIP)[-1]
    assert whole.claims == member.claims


@pytest.mark.parametrize("of", [allocation(users=""), allocation(users="jdoe")])
def test_a_step_for_each_of_no_users_claims_nothing(site: Site, of: Request) -> None:
    router = site.router(COMPUTE)
    assert len(router.route(of)[-1].claims) == len(of.users)


def test_each_user_takes_their_own_output(site: Site) -> None:
    text = """\
handlers: {x: {use: one}, y: {use: two}}
resources: {a: {handlers: []}}
routes:
  allocation.provision:
    - {name: first, handler: x, each: user, with: {item: "{{ user }}"}}
    - name: second
      handler: y
      each: user
      with: {item: "{{ user }}", uid: "{{ steps.first.output.uid }}"}
"""
    bound = site.router(text).bind(allocation(), "second", {("first", "jdoe"): {"uid": 7}})
    assert [(claim.item, claim.want) for claim in bound.claims] == [
        ("jdoe", {"uid": 7}),
        ("asmith", None),
    ]


# When.


@pytest.mark.parametrize(
    ("when", "taken"),
    [
        ("project.code == 'CF3'", True),
        ("project.code == 'other'", False),
        ("{{ allocation.users | length > 1 }}", True),
        ("allocation.quota.space", False),
        ("not allocation.quota.space", True),
        ("'true'", True),
        ("true", True),
        ("false", False),
        ("resource.gate | default(true)", True),
        ("resource.tier == 'fast'", True),
        ("resource.off", False),
        ("resource.off | default(true)", False),
    ],
)
def test_a_step_is_taken_when_its_condition_holds(site: Site, when: str, taken: bool) -> None:
    router = routed(
        site, action="allocation.provision", first="{item: a}", more=f'when: "{when}", '
    )
    assert [step.name for step in router.route(allocation())] == ["first", "second"][: 1 + taken]


def test_the_shipped_gate_can_be_turned_off_for_a_resource(site: Site) -> None:
    router = site.router(COMPUTE.replace("[sl]", "[sl], settings: {gate: false}"))
    assert [name for name, _, _ in steps(router, allocation())] == ["slurm_account", "associations"]


def test_a_need_that_was_left_out_is_not_waited_for(site: Site) -> None:
    text = """\
handlers: {x: {use: one}}
routes:
  user.provision:
    - {name: first, handler: x, when: "false", with: {item: a}}
    - {name: second, handler: x, needs: [first], with: {item: b}}
"""
    assert steps(site.router(text), user()) == [("second", "x", ())]
