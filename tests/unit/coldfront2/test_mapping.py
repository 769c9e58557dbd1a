"""What ColdFront 2 says becomes requests, or words about what has to be filled in."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from typing import Any

import pytest

from provisioner.coldfront.asking.mapping import Options, Person, Project
from provisioner.coldfront2.limits import Association
from provisioner.coldfront2.mapping import (
    Allocation,
    Quota,
    Resource,
    ended,
    entitled,
    mode,
    provision,
    resource_name,
)
from provisioner.request.request import parse_request

PROJECT = Project(3, "p7480305", "Protein folding", "pi")
PEOPLE = (Person("pi"), Person("anna"))
CLUSTER = Resource("cluster", "hpc", cluster="hpc")
PARTITION = Resource("partition", "gpu", cluster="hpc", parent=CLUSTER)
STORE = Resource("storage", "Project storage", "store")
SOFTWARE = Resource("other", "Licences", "licences")
SLURM = Association(account="folding")
QUOTA = Quota("/mnt/folding", 2770, "pi", "folding", 10**12, 5000)


def allocation(**about: Any) -> Allocation:
    of = {"status": "active", "project": PROJECT, "resource": CLUSTER, "users": PEOPLE}
    return Allocation(7, **{**of, "association": SLURM, **about})


def asked(wanted: Allocation, *, paths: bool = False, **options: Any) -> dict[str, Any]:
    """Give the allocation of a request, which is right by the request format."""
    found = provision(wanted, Options(**options), paths=paths)
    assert found is not None and found.document is not None, found
    parse_request(json.dumps({"provisioner": 1, **found.document}).encode())
    document: dict[str, Any] = found.document["allocation"]
    return document


def problems(wanted: Allocation) -> tuple[str, ...]:
    found = provision(wanted, Options())
    assert found is not None and found.document is None, found
    return found.problems


# Who has access.


@pytest.mark.parametrize(
    ("status", "over", "had", "has"),
    [
        ("requested", False, False, False),
        ("approved", False, False, True),
        ("active", False, True, True),
        ("active", True, True, False),
        ("approved", True, False, False),
        ("renew", False, True, True),
        ("renew", False, False, False),
        ("renew", True, True, False),
        ("expired", False, True, False),
        ("revoked", False, True, False),
        ("denied", False, True, False),
    ],
)
def test_who_has_access_hangs_on_status_end_date_and_what_was(
    status: str, over: bool, had: bool, has: bool
) -> None:
    assert entitled(allocation(status=status, over=over, had=had)) == has


@pytest.mark.parametrize(
    ("status", "over", "words"),
    [
        ("revoked", False, "revoked"),
        ("revoked", True, "revoked"),
        ("active", True, "past its end date"),
        ("renew", True, "past its end date"),
        ("renew", False, "waiting for its renewal"),
    ],
)
def test_why_access_ends_is_said_in_words(status: str, over: bool, words: str) -> None:
    assert ended(status, over=over) == words


# Resources.


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (CLUSTER, "hpc"),
        (replace(CLUSTER, given="cluster-a"), "cluster-a"),
        (replace(CLUSTER, given="-"), None),
        (PARTITION, "hpc"),
        (replace(PARTITION, given="hpc-gpu"), "hpc-gpu"),
        (replace(PARTITION, parent=replace(CLUSTER, given="-")), None),
        (STORE, "store"),
        (replace(STORE, given=""), None),
        (replace(SOFTWARE, given="", parent=SOFTWARE), "licences"),
        (None, None),
    ],
)
def test_a_resource_has_its_own_name_its_parents_or_none(
    resource: Resource | None, name: str | None
) -> None:
    assert resource_name(resource) == name


def test_an_allocation_on_a_resource_without_a_name_is_not_asked_for() -> None:
    assert provision(allocation(resource=replace(STORE, given="")), Options()) is None


# What is asked for.


def test_an_allocation_on_a_cluster() -> None:
    association = Association("folding", "science", 5, ("long",), max_jobs=3)
    assert asked(allocation(association=association)) == {
        "id": "7",
        "resource": "hpc",
        "project": {"code": "p7480305", "title": "Protein folding", "pi": "pi"},
        "users": ["anna", "pi"],
        "slurm": {
            "account": "folding", "parent": "science", "fairshare": 5, "specs": "QOS+=long",
            "user_specs": "Fairshare=parent:MaxJobs=3",
        },
    }  # fmt: skip


def test_an_allocation_on_a_partition_gives_that_partition_alone() -> None:
    body = asked(allocation(resource=PARTITION))
    assert (body["resource"], body["slurm"]["partitions"]) == ("hpc", ["gpu"])


def test_an_allocation_on_storage() -> None:
    quota = replace(QUOTA, soft_bytes=10**11, soft_files=400, grace=datetime.timedelta(days=7))
    body = asked(allocation(resource=STORE, association=None, quota=quota, group="folders"))
    assert body["quota"] == {"space": 10**12, "files": 5000}
    assert body["attributes"] == {
        "group": "folders", "owning_user": "pi", "owning_group": "folding", "path_mode": "2770",
        "soft_space": "100000000000", "soft_files": "400", "grace_seconds": "604800",
    }  # fmt: skip
    assert "storage" not in body and "slurm" not in body


def test_a_quotas_path_is_sent_where_the_service_takes_paths() -> None:
    stored = allocation(resource=STORE, quota=QUOTA)
    assert asked(stored, paths=True)["storage"] == {"path": "/mnt/folding"}


def test_named_attributes_go_to_the_sites_routes_and_the_fileset_to_storage() -> None:
    data = {"ticket": 17, "fileset_name": "fold", "other": "x", "parts": {"a": 1}, "none": None}
    body = asked(
        allocation(resource=STORE, quota=Quota(hard_bytes=1), data=data),
        attributes={"ticket": "order", "parts": "parts", "none": "none"},
    )
    assert (body["attributes"], body["storage"]) == ({"order": "17"}, {"fileset": "fold"})


@pytest.mark.parametrize(("kept", "text"), [(2770, "2770"), (750, "0750"), (0, "0000"), (None, "")])
def test_a_mode_keeps_the_digits_that_coldfront_keeps(kept: int | None, text: str) -> None:
    """They are octal digits in a decimal number: 2770 is no 0o5322."""
    assert mode(kept) == text


# What is missing.


@pytest.mark.parametrize(
    ("about", "problem"),
    [
        ({"association": None}, "add the allocation's Slurm association"),
        ({"association": Association()},
         "choose the Slurm account in the allocation's Slurm association"),
        ({"resource": STORE}, "add the allocation's storage quota"),
        ({"resource": STORE, "quota": Quota()},
         "fill in the hard limit of the allocation's storage quota"),
        ({"association": Association("my account")},
         "fix the Slurm account's name: 'my account' is refused: not a code: letters, digits,"
         " _ . -, at most 64"),
        ({"project": replace(PROJECT, same_code=(9,))},
         "project 3 has the code 'p7480305', and so has project 9: give each project its own code"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_missing_is_said_where_it_is_filled_in(about: dict[str, Any], problem: str) -> None:
    assert problems(allocation(**about)) == (problem,)


def test_a_name_that_no_account_may_have_is_left_out() -> None:
    found = provision(allocation(users=(*PEOPLE, Person("Anna@uni"))), Options())
    assert found is not None and found.document is not None
    assert found.document["allocation"]["users"] == ["anna", "pi"]
    assert "'Anna@uni' is left out" in found.problems[0]
