"""What ColdFront says becomes requests, or words about what has to be filled in."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from provisioner.coldfront.asking.mapping import (
    Allocation,
    Options,
    Person,
    Project,
    Resource,
    provision,
    provision_project,
    provision_user,
    resource_name,
    resume,
    suspend,
    unused,
)
from provisioner.coldfront.asking.wanted import Document, Wanted, without_leavers
from provisioner.manifests import manifest
from provisioner.request.request import parse_request

PROJECT = Project(3, "CF0003", "Protein folding", "cgray", users=("jjames",))
JAMES = Person("jjames", "Justin", "James", "jjames@example.com")
GRAY = Person("cgray", "Carl", "Gray", "cgray@example.com")
CLUSTER = Resource("University HPC", "Cluster", {"slurm_cluster": ("a",)})
STORAGE = Resource("ProjectStorage", "Storage", {"provisioner_resource": ("hpc-storage",)})
PARTITION = Resource(
    "gpu", "Cluster Partition", {"slurm_specs": ("QOS+=gpu",), "slurm_user_specs": ("MaxJobs=5",)},
    parent=Resource("University HPC", "Cluster",
                    {"slurm_cluster": ("a",), "slurm_specs": ("Fairshare=7",)}),
)  # fmt: skip


def on(resource: Resource | None, **attributes: Any) -> Allocation:
    """Make an allocation. attributes: with `_` for what stands between words."""
    named = {
        {"quota": "Storage Quota (GB)", "files": "Storage Quota (files)"}.get(name, name): (
            value if isinstance(value, tuple) else (value,)
        )
        for name, value in attributes.items()
    }
    return Allocation(42, "Active", PROJECT, resource, named, (GRAY, JAMES))


def asked(wanted: Wanted | None) -> Document:
    """Give the body of a request that the format takes."""
    assert wanted is not None and wanted.document is not None, wanted
    parse_request(json.dumps({"provisioner": 1, **wanted.document}).encode())
    return wanted.document


def test_an_allocation_on_a_cluster_says_account_users_and_specs() -> None:
    facts = on(
        CLUSTER,
        slurm_account_name="cf3",
        slurm_parent="physics",
        slurm_specs="GrpTRES=cpu=64:Fairshare=100",
        slurm_user_specs="MaxJobs=10",
        freeipa_group="folders",
    )
    assert asked(provision(facts, Options())) == {
        "action": "allocation.provision",
        "allocation": {
            "id": "42",
            "resource": "a",
            "project": {"code": "CF0003", "title": "Protein folding", "pi": "cgray"},
            "users": ["cgray", "jjames"],
            "attributes": {"freeipa_group": "folders"},
            "slurm": {
                "account": "cf3",
                "parent": "physics",
                "specs": "GrpTRES=cpu=64:Fairshare=100",
                "user_specs": "MaxJobs=10",
            },
        },
    }


def test_an_allocation_of_storage_says_quota_and_fileset() -> None:
    facts = on(STORAGE, quota="500", files="1000000", fileset_name="folding",
               fileset_path="/gpfs/fs1/folding", fileset_kind="dependent")  # fmt: skip
    allocation = asked(provision(facts, Options()))["allocation"]
    assert (allocation["resource"], allocation["quota"], allocation["storage"]) == (
        "hpc-storage",
        {"space": "500 GB", "files": "1000000"},
        {"fileset": "folding", "path": "/gpfs/fs1/folding", "kind": "dependent"},
    )


def test_a_centre_says_what_a_gb_is() -> None:
    wanted = provision(on(STORAGE, quota="5"), Options(quota_unit="GiB"))
    assert asked(wanted)["allocation"]["quota"] == {"space": "5 GiB"}


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (CLUSTER, "a"),
        (STORAGE, "hpc-storage"),
        (PARTITION, "a"),
        (dataclasses.replace(CLUSTER, attributes={"slurm_cluster": (" ",)}), None),
        (Resource("x", "Cluster", {"slurm_cluster": ("a",), "provisioner_resource": ("b",)}), "b"),
        (Resource("x", "Cluster", {"slurm_cluster": ("a",), "provisioner_resource": ("-",)}), None),
        (Resource("Budgetstorage", "Storage"), None),
        (None, None),
    ],
)
def test_a_resource_is_known_by_what_it_says_itself(
    resource: Resource | None, name: str | None
) -> None:
    assert resource_name(resource) == name


@pytest.mark.parametrize("resource", [None, Resource("Budgetstorage", "Storage")])
def test_a_resource_that_says_nothing_is_not_provisioned(resource: Resource | None) -> None:
    assert provision(on(resource, quota="5"), Options()) is None


SPECS = [
    ("a cluster's specs are the cluster's own", CLUSTER, ("X=1",), "X=1", None),
    ("a partition's are the account's and the users'", PARTITION, ("X=1",), "QOS+=gpu:X=1",
     "MaxJobs=5"),
    ("each text stands once, in order, as it is", CLUSTER, ("B=1:A=2", "A=2:C=3", "B=1:A=2"),
     "B=1:A=2:A=2:C=3", None),
    ("what holds colons is handed on whole", CLUSTER, ("GrpWall=100:00:00", "MaxWall=24:00:00"),
     "GrpWall=100:00:00:MaxWall=24:00:00", None),
    ("a colon at the ends is none", CLUSTER, (" :X=1: ", ":"), "X=1", None),
    ("nothing is nothing", CLUSTER, (), None, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "given", "specs", "user_specs"), [s[1:] for s in SPECS], ids=[s[0] for s in SPECS]
)
def test_specs_are_joined_as_coldfronts_slurm_plugin_does(
    resource: Resource, given: tuple[str, ...], specs: str | None, user_specs: str | None
) -> None:
    facts = on(resource, slurm_account_name="cf3", slurm_specs=given)
    slurm = asked(provision(facts, Options()))["allocation"]["slurm"]
    assert (slurm.get("specs"), slurm.get("user_specs")) == (specs, user_specs)


LINKED = [
    ("a storage allocation with a linked cluster", (CLUSTER,), "X=1", None),
    ("with a partition of it, too", (CLUSTER, PARTITION), "QOS+=gpu:X=1", "MaxJobs=5"),
    ("of another cluster nothing is said",
     (CLUSTER, dataclasses.replace(PARTITION, attributes={"slurm_cluster": ("b",),
                                                          "slurm_specs": ("Y=1",)})), "X=1", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("linked", "specs", "user_specs"), [case[1:] for case in LINKED], ids=[c[0] for c in LINKED]
)
def test_a_linked_cluster_gets_the_account_and_its_limits(
    linked: tuple[Resource, ...], specs: str, user_specs: str | None
) -> None:
    facts = on(STORAGE, quota="1", slurm_account_name="cf3", slurm_specs="X=1")
    allocation = asked(provision(dataclasses.replace(facts, linked=linked), Options()))[
        "allocation"
    ]
    said = allocation["slurm"]
    assert (said["account"], said["specs"], said.get("user_specs")) == ("cf3", specs, user_specs)
    assert allocation["resource"] == "hpc-storage"


def test_a_linked_cluster_needs_no_account() -> None:
    facts = dataclasses.replace(on(STORAGE, quota="1"), linked=(CLUSTER,))
    assert "slurm" not in asked(provision(facts, Options()))["allocation"]


def test_a_linked_cluster_that_is_not_provisioned_is_told_nothing() -> None:
    off = Resource("x", "Cluster", {"slurm_cluster": ("a",), "provisioner_resource": ("-",)})
    facts = dataclasses.replace(on(STORAGE, quota="1", slurm_specs="X=1"), linked=(off,))
    assert "slurm" not in asked(provision(facts, Options()))["allocation"]


UNUSED = [
    (on(STORAGE, quota="1", slurm_specs="X=1"), ("slurm_specs",)),
    (dataclasses.replace(on(STORAGE, quota="1", slurm_specs="X=1"), linked=(CLUSTER,)), ()),
    (on(CLUSTER, slurm_account_name="a", slurm_specs_attriblist="x"), ()),
    (on(CLUSTER, **{"Core Usage (Hours)": "9", "freeipa_group": "g"}), ("Core Usage (Hours)",)),
    (on(CLUSTER, **{"Storage Quota (files)": "9"}), ("Storage Quota (files)",)),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "named"), UNUSED)
def test_every_attribute_that_is_not_used_is_named(
    facts: Allocation, named: tuple[str, ...]
) -> None:
    assert unused(facts, Options()) == named


@pytest.mark.parametrize(
    ("attribute", "unit", "space"),
    [
        ("Storage Quota (TB)", "GB", "5 TB"),
        ("Storage Quota (TB)", "GiB", "5 TiB"),
        ("Storage Quota (TiB)", "GB", "5 TiB"),
        ("storage quota (pb)", "GB", "5 PB"),
        ("Storage Quota (GB)", "GB", "5 GB"),
    ],
)
def test_a_quota_is_in_the_unit_of_its_attribute(attribute: str, unit: str, space: str) -> None:
    wanted = provision(on(STORAGE, **{attribute: "5"}), Options(quota_unit=unit))
    assert asked(wanted)["allocation"]["quota"] == {"space": space}


WRONG = [
    (on(STORAGE, **{"Storage Quota (TB)": "x"}), "fix the allocation attribute 'Storage Quota (T"),
    (
        on(STORAGE, quota="1", **{"Storage Quota (TB)": "5"}),
        "the allocation has 'Storage Quota (GB)' and 'Storage Quota (TB)': keep only one",
    ),
    (on(CLUSTER), "fill in the allocation attribute 'slurm_account_name'"),
    (on(STORAGE), "fill in the allocation attribute 'Storage Quota (GB)'"),
    (on(STORAGE, quota="many"), "fix the allocation attribute 'Storage Quota (GB)': 'many GB'"),
    (on(CLUSTER, slurm_account_name=("a", "b")), "'slurm_account_name' has 2 values"),
    (on(CLUSTER, slurm_account_name="a b"), "fix the allocation attribute 'slurm_account_name'"),
    (on(STORAGE, quota="1", fileset_path="../x"), "fix the allocation attribute 'fileset_path'"),
    (on(STORAGE, quota="1", fileset_kind="odd"), "fix the allocation attribute 'fileset_kind'"),
    (
        on(Resource("x", "Cluster", {"slurm_cluster": ("a b",)}), slurm_account_name="a"),
        "fix the resource's attribute 'provisioner_resource' or 'slurm_cluster'",
    ),
    (
        dataclasses.replace(
            on(STORAGE, quota="1"), project=dataclasses.replace(PROJECT, same_code=(7,))
        ),
        "project 3 has the code 'CF0003', and so has project 7: give each project its own code",
    ),
    (
        dataclasses.replace(on(STORAGE, quota="1"), project=dataclasses.replace(PROJECT, gid="x")),
        "fix the project attribute 'project_gid'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "said"), WRONG, ids=[said[:60] for _, said in WRONG])
def test_what_is_missing_or_wrong_is_said_and_not_sent(facts: Allocation, said: str) -> None:
    wanted = provision(facts, Options())
    assert wanted is not None and wanted.document is None
    assert said in " ".join(wanted.problems)


def test_all_that_is_missing_is_said_at_once() -> None:
    resource = Resource("x", "Storage", {"slurm_cluster": ("a",)})
    wanted = provision(on(resource, fileset_kind="odd"), Options())
    assert wanted is not None and len(wanted.problems) == 3


@pytest.mark.parametrize("name", ["J Doe", "jdoe@campus.test", "-rf", "Ärger", "x" * 33])
def test_a_name_that_no_backend_takes_is_left_out_and_said(name: str) -> None:
    facts = dataclasses.replace(on(STORAGE, quota="1"), users=(GRAY, Person(name)))
    wanted = provision(facts, Options())
    assert asked(wanted)["allocation"]["users"] == ["cgray"]
    assert wanted is not None and f"the user {name!r} is left out" in wanted.problems[0]
    assert provision_user(Person(name)).document is None


def test_nobody_is_said_too() -> None:
    facts = dataclasses.replace(on(STORAGE, quota="1"), users=())
    assert asked(provision(facts, Options()))["allocation"]["users"] == []


def test_two_projects_of_one_title_have_each_their_own_name() -> None:
    twins = [Project(number, "", "Protein folding", "cgray") for number in (1, 2)]
    assert [asked(provision_project(p, Options()))["project"]["code"] for p in twins] == [
        "cf1",
        "cf2",
    ]


def test_a_project_says_its_people_and_the_pi_among_them() -> None:
    facts = dataclasses.replace(PROJECT, gid="50003")
    assert asked(provision_project(facts, Options())) == {
        "action": "project.provision",
        "project": {
            "code": "CF0003",
            "title": "Protein folding",
            "pi": "cgray",
            "gid": "50003",
            "users": ["cgray", "jjames"],
        },
    }


def test_an_archived_project_is_archived() -> None:
    facts = dataclasses.replace(PROJECT, status="Archived")
    assert asked(provision_project(facts, Options())) == {
        "action": "project.archive",
        "project": {"code": "CF0003"},
    }


@pytest.mark.parametrize("title", ["a\nb", "a\x00b", "  a \t b ", "a\x85b"])
def test_a_title_is_made_one_line(title: str) -> None:
    facts = dataclasses.replace(PROJECT, title=title)
    assert asked(provision_project(facts, Options()))["project"]["title"] == "a b"


@pytest.mark.parametrize(
    ("person", "said"),
    [
        (
            JAMES,
            {
                "name": "jjames",
                "full_name": "Justin James",
                "given_name": "Justin",
                "surname": "James",
                "email": "jjames@example.com",
            },
        ),
        (Person("x", email="not one"), {"name": "x"}),
    ],
)
def test_a_person_is_said_as_far_as_known(person: Person, said: Document) -> None:
    assert asked(provision_user(person)) == {"action": "user.provision", "user": said}


def test_access_is_taken_and_given_back_under_one_cause() -> None:
    site = Options()
    taken = asked(Wanted(suspend(42, "Revoked", site)))
    given = asked(Wanted(resume(42, site)))
    assert taken["cause"] == given["cause"] == manifest.CAUSE
    assert taken["reason"] == "the allocation is Revoked in ColdFront"


@pytest.mark.parametrize(
    ("users", "expected"),
    [(("cgray", "jjames"), {"managers": ["jjames"]}), (("cgray",), {})],
    ids=["a manager who stays", "a manager who left"],
)
def test_a_repeated_request_names_no_manager_who_left(
    users: tuple[str, ...], expected: dict[str, list[str]]
) -> None:
    named = {"code": "CF0003", "pi": "cgray", "managers": ["jjames"]}
    last = {
        "action": "project.provision",
        "project": {**named, "users": ["cgray", "jjames", "sfoster"]},
    }
    found = without_leavers(last, Wanted(None, ("fill in something",), users)).document
    assert found is not None
    rest = {"code": "CF0003", "pi": "cgray", "users": list(users)}
    assert found["project"] == {**rest, **expected}


def test_managers_with_names_that_no_account_has_are_left_out() -> None:
    facts = dataclasses.replace(PROJECT, managers=("jjames", "-rf"))
    assert asked(provision_project(facts, Options()))["project"]["managers"] == ["jjames"]
