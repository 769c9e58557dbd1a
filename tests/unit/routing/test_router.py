"""Routing: a request becomes steps by the site's routes, or is refused with every reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.contract import InvalidRequest
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import Request
from tests.support.routing_site import (
    COMPUTE,
    MEMBERSHIP,
    STORAGE,
    Site,
    allocation,
    request,
    routed,
    steps,
    user,
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "provisioner.yaml")


# The shipped routes.


@pytest.mark.parametrize(
    ("handlers", "of", "found"),
    [
        ("handlers: {}", user(), []),
        (
            "handlers: {ad: {use: ad_account}}",
            user(),
            [("account", "ad", ())],
        ),
        (
            "handlers: {homes: {use: home_directory}, names: {use: nss_gate}}",
            user(),
            [("resolves", "names", ()), ("home", "homes", ("resolves",))],
        ),
        (
            "handlers: {ad: {use: ad_account}, lds: {use: adlds_account}, nss: {use: nss_gate},"
            " h: {use: home_directory}}",
            user(),
            [
                ("account", "ad", ()),
                ("lds", "lds", ("account",)),
                ("resolves", "nss", ("account", "lds")),
                ("home", "h", ("account", "lds", "resolves")),
            ],
        ),
        (STORAGE, allocation(), [("fileset", "fs1", ())]),
        (
            COMPUTE,
            allocation(),
            [
                ("slurm_account", "sl", ()),
                ("resolves", "nss", ()),
                ("associations", "sl", ("slurm_account", "resolves")),
            ],
        ),
        (
            "handlers: {g: {use: ad_group}}",
            request("project.provision", "project: {code: CF3, users: [jdoe]}"),
            [("group", "g", ()), ("members", "g", ("group",))],
        ),
        (COMPUTE, MEMBERSHIP, [("resolves", "nss", ()), ("associations", "sl", ("resolves",))]),
    ],
)
def test_a_step_that_nobody_serves_is_left_out_of_the_shipped_routes(
    site: Site, handlers: str, of: Request, found: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    if "resources" not in handlers and of.resource:
        handlers += "\nresources: {a: {handlers: []}}"
    assert steps(site.router(handlers), of) == found


def test_what_a_step_that_was_left_out_would_have_given_comes_from_the_request(site: Site) -> None:
    router = site.router("handlers: {h: {use: home_directory}}")
    [home] = router.route(user(", uid: 2001, gid: 2002"))
    assert home.late == frozenset()
    assert [claim.want for claim in home.claims] == [{"uid": 2001, "gid": 2002}]


def test_a_sites_own_route_takes_the_place_of_the_shipped_one(site: Site) -> None:
    own = "routes: {user.provision: [{name: mine, handler: ad, with: {name: x}}]}\n"
    router = site.router(f"{STORAGE.replace('{fs1', '{ad: {use: ad_account}, fs1')}{own}")
    assert steps(router, user()) == [("mine", "ad", ())]
    assert steps(router, allocation()) == [("fileset", "fs1", ())]


def test_an_action_that_has_no_route_has_no_steps(site: Site) -> None:
    of = request("user.suspend", "user: {name: jdoe}")
    assert steps(site.router("handlers: {ad: {use: ad_account}}"), of) == []


# Who serves a step.

CLUSTERS = """\
handlers: {a: {use: slurm}, b: {use: slurm}, free: {use: nss_gate}}
resources: {one: {handlers: [a]}, two: {handlers: [b]}, both: {handlers: [a, b]}}
"""


@pytest.mark.parametrize(("resource", "instance"), [("one", "a"), ("two", "b")])
def test_the_resource_picks_the_instance(site: Site, resource: str, instance: str) -> None:
    found = steps(site.router(CLUSTERS), allocation(resource))
    assert [name for _, name, _ in found] == [instance, "free", instance]


def test_the_resources_own_instance_comes_before_one_that_serves_anybody(site: Site) -> None:
    text = "handlers: {a: {use: slurm}, free: {use: slurm}}\n"
    router = site.router(text + "resources: {one: {handlers: [a]}, two: {handlers: []}}")
    assert {name for _, name, _ in steps(router, allocation("one"))} == {"a"}
    assert {name for _, name, _ in steps(router, allocation("two"))} == {"free"}


def test_several_instances_that_could_serve_are_named_with_what_to_write(site: Site) -> None:
    with pytest.raises(InvalidDocument) as raised:
        site.router(CLUSTERS).route(allocation("both"))
    first, second = raised.value.problems
    assert first.message.startswith("step slurm_account: a, b could serve it; what to do: ")
    assert second.message.startswith("step associations: a, b could serve it; ")
    assert (first.line, first.key) == (3, "allocation.resource")
    assert "set one of them as the step's `handler`" in first.message
    assert "resource" in first.message


def test_several_instances_that_no_resource_names_are_ambiguous_too(site: Site) -> None:
    router = site.router("handlers: {x: {use: ad_account}, y: {use: ad_account}}")
    with pytest.raises(InvalidRequest, match="step account: x, y could serve it"):
        router.route(user())


def test_an_instance_named_by_the_route_is_taken_whatever_the_resource(site: Site) -> None:
    route = "routes: {allocation.provision: [{name: s, handler: b, with: {account: x}}]}"
    assert steps(site.router(CLUSTERS + route), allocation("one")) == [("s", "b", ())]


def test_an_instance_may_bear_the_name_of_its_kind(site: Site) -> None:
    router = site.router("handlers: {slurm: {use: slurm}}\nresources: {a: {handlers: [slurm]}}")
    assert steps(router, MEMBERSHIP) == [("associations", "slurm", ())]


def test_an_instance_of_another_resource_serves_nobody_else(site: Site) -> None:
    router = site.router(STORAGE.replace("[fs1]}", "[fs1]}, b: {handlers: []}"))
    assert steps(router, allocation("b")) == []


def test_a_step_that_is_not_optional_and_that_nobody_serves_is_refused(site: Site) -> None:
    route = "routes: {allocation.provision: [{name: s, handler: slurm, with: {account: x}}]}\n"
    text = "handlers: {a: {use: slurm}}\nresources: {one: {handlers: [a]}, two: {handlers: []}}\n"
    with pytest.raises(InvalidRequest, match="step s: no slurm serves two; what to do: add one"):
        site.router(text + route).route(allocation("two"))


@pytest.mark.parametrize(
    ("resource", "nearest"), [("cluster_a", "cluster-a"), ("zzz", ""), ("cluster-a2", "cluster-a")]
)
def test_a_resource_that_is_unknown_gets_the_nearest(
    site: Site, resource: str, nearest: str
) -> None:
    router = site.router("resources: {cluster-a: {handlers: []}, storage: {handlers: []}}")
    with pytest.raises(InvalidDocument, match=f"there is no resource '{resource}'") as raised:
        router.route(allocation(resource))
    [problem] = raised.value.problems
    assert problem.nearest == nearest
    assert problem.expected == "one of cluster-a, storage"
    assert (problem.key, problem.line) == ("allocation.resource", 3)


def test_a_resource_that_is_unknown_is_told_where_it_stands(site: Site) -> None:
    router = site.router("resources: {b: {handlers: []}}")
    with pytest.raises(InvalidDocument) as raised:
        router.route(MEMBERSHIP)
    [problem] = raised.value.problems
    assert (problem.key, problem.line) == ("membership.allocation.resource", 3)


# What cannot be routed.


def test_every_step_that_cannot_be_is_told_at_once(site: Site) -> None:
    router = routed(site, first="{item: bad}", second="{item: worse}")
    with pytest.raises(InvalidDocument) as raised:
        router.route(user())
    assert [(p.key, p.message, p.nearest) for p in raised.value.problems] == [
        ("", "step first (x), item: 'bad' is no item", "good"),
        ("", "step second (y), item: 'worse' is no item", "good"),
    ]


@pytest.mark.parametrize(
    ("slurm", "key"),
    [
        (
            f"partitions: [{', '.join(f'p{n:059}' for n in range(200))}]",
            "allocation.slurm.partitions",
        ),
        (f"user_specs: 'GrpTRES={'gres/gpu=1,' * 400}cpu=1'", "allocation.slurm.user_specs"),
    ],
    ids=["partitions", "limits"],
)
def test_what_all_users_get_together_has_a_limit_that_is_told_once(
    site: Site, slurm: str, key: str
) -> None:
    router, asked = site.router(COMPUTE), allocation(more=f", slurm: {{{slurm}}}")
    assert router.route(asked)
    crowd = replace(asked, users=tuple(f"u{number}" for number in range(10_000)))
    with pytest.raises(InvalidDocument) as raised:
        router.route(crowd)
    [problem] = raised.value.problems
    assert problem.key == key
    assert "each of 10,000 users gets" in problem.message
    assert "at most 1,677 bytes for each" in str(problem)


def test_a_handler_that_refuses_is_named_with_its_advice(site: Site) -> None:
    with pytest.raises(InvalidDocument) as raised:
        routed(site, second="{item: broken}").route(user())
    assert "step second (y): it is broken; what to do: mend it" in raised.value.message


def test_a_value_that_is_missing_is_named_with_its_expression(site: Site) -> None:
    with pytest.raises(InvalidDocument, match="there is no 'shoe_size'"):
        routed(site, second='{item: "{{ user.shoe_size }}"}').route(user())


# What no configuration may say.


@pytest.mark.parametrize(
    ("route", "message", "advice"),
    [
        (
            "[{name: a, handler: on}]",
            "routes.user.provision: step a: there is no handler 'on'",
            "did you mean 'one'?",
        ),
        (
            "[{name: a, handler: x}, {name: a, handler: x}]",
            "routes.user.provision: step a appears twice",
            "",
        ),
        (
            "[{name: a, handler: x, needs: [b]}]",
            "routes.user.provision: step a needs 'b', which is not a step before it",
            "put it after the steps that it needs",
        ),
        (
            "[{name: a, handler: x, needs: [a]}]",
            "routes.user.provision: step a needs 'a', which is not a step before it",
            "put it after the steps that it needs",
        ),
        (
            "[{name: a, handler: x, needs: [b]}, {name: b, handler: x, needs: [a]}]",
            "routes.user.provision: step a needs 'b', which is not a step before it",
            "put it after the steps that it needs",
        ),
        (
            '[{name: a, handler: x, with: {p: "{{ steps.b.output.q }}"}}, {name: b, handler: x}]',
            "routes.user.provision: step a needs 'b', which is not a step before it",
            "put it after the steps that it needs",
        ),
        (
            '[{name: b, handler: x}, {name: a, handler: x, when: "steps.b.output.q"}]',
            "routes.user.provision: step a: `when` uses the output of a step",
            "steps are chosen before any step runs: use the request's own values",
        ),
    ],
    ids=["no handler", "twice", "unknown need", "itself", "in a circle", "later", "when"],
)
def test_a_route_that_cannot_work_is_refused_at_the_start(
    site: Site, route: str, message: str, advice: str
) -> None:
    text = f"handlers: {{x: {{use: one}}}}\nroutes: {{user.provision: {route}}}"
    refused = site.refused(text)
    assert (refused.message, refused.advice) == (message, advice)


def test_an_expression_that_is_none_is_refused_at_the_start(site: Site) -> None:
    route = '[{name: a, handler: x, with: {p: "{{ user. }}"}}]'
    text = f"handlers: {{x: {{use: one}}}}\nroutes: {{user.provision: {route}}}"
    refused = site.refused(text)
    assert refused.message.startswith(
        "routes.user.provision: step a: '{{ user. }}' is not a template"
    )


def test_a_step_that_is_used_for_more_than_its_output_is_refused_at_the_start(site: Site) -> None:
    route = '[{name: a, handler: x}, {name: b, handler: x, with: {p: "{{ steps.a }}"}}]'
    refused = site.refused(f"handlers: {{x: {{use: one}}}}\nroutes: {{user.provision: {route}}}")
    assert refused.message.startswith("routes.user.provision: step b: '{{ steps.a }}' uses `steps`")
    assert refused.advice == "write `steps.NAME.output.WHAT`"


def test_a_resource_that_names_no_handler_gets_the_nearest(site: Site) -> None:
    refused = site.refused(
        "handlers: {slurm-a: {use: slurm}}\nresources: {r: {handlers: [slurm_a]}}"
    )
    assert refused.message == "resources.r: there is no handler 'slurm_a'"
    assert refused.advice == "did you mean 'slurm-a'?"
