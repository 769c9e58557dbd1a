"""Which names are one person's."""

from __future__ import annotations

import pytest

from provisioner.config.schema import Config
from provisioner.policy.persons import Persons, account
from provisioner.wiring import policy_of

NAMED = Persons(
    {"jane.doe": "jdoe", "adm-jdoe": "JDoe", "root2": "ops", "ops": "bob", "a": "b", "b": "a"}
    | {"20077": "kim", "zo\xe9 staff": "zoe"}
)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ann", "ann", True),
        ("ann", "Ann", True),
        ("ann", "bob", False),
        ("jane.doe", "jdoe", True),
        ("Jane.Doe", "JDOE", True),
        ("jane.doe", "adm-jdoe", True),
        ("root2", "bob", True),
        ("bob", "root2", True),
        ("root2", "jdoe", False),
        ("a", "b", True),
        ("uid-7", "UID-7", True),
        ("7", "uid-7", True),
        ("007", "uid-7", True),
        ("7", "uid-70", False),
        ("uid-20077", "kim", True),
        ("7th", "uid-7", False),
        ("\u0667", "uid-7", False),
        ("j\xf6rg", "j_u00f6_rg", True),
        ("J\xd6RG", "j_u00f6_rg", True),
        ("jo\u0308rg", "j_u00f6_rg", True),
        ("j\xf6rg", "jorg", False),
        ("zo\xe9 staff", "zoe", True),
    ],
)
def test_two_names_are_one_persons_as_the_site_says_and_in_whatever_case(
    one: str, other: str, same: bool
) -> None:
    assert NAMED.same([one], [other]) is same
    assert NAMED.same(["x", one], [other, "y"]) is same


def test_an_account_is_known_by_name_and_by_number() -> None:
    persons = Persons({})
    assert persons.same(account("ann", 7), account("renamed", 7))
    assert persons.same(account("ann", 7), account("ann", 8))
    assert not persons.same(account("ann", 7), account("bob", 8))


def test_a_portal_s_person_whose_name_is_a_number_is_not_another_than_who_has_that_uid() -> None:
    assert Persons({}).same(["1005"], account("jdoe", 1005))
    assert not Persons({}).same(["1005"], account("1006", 1006))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("axop@campus.test", "axop", True),
        ("axop@CAMPUS.TEST", "AxOp", True),
        ("axop@campus.test", "adm-axop", True),
        ("boss@campus.test", "chief", True),
        ("axop@elsewhere.test", "axop", False),
        ("axop@elsewhere.test", "axop@campus.test", False),
        ("@campus.test", "", False),
        ("axop@campus.test.", "axop", True),
        ("@axop", "axop", True),
        ("axop@", "axop", True),
        ("@axop@campus.test", "axop", True),
        ("axop@@campus.test", "axop", True),
        ("axop@campus.test@campus.test", "axop", True),
        ("axop@Campus.Test.@campus.test.", "adm-axop", True),
        ("axop.", "axop", True),
        ("uid-20077.@campus.test", "20077", True),
        ("@axop@elsewhere.test.", "axop@elsewhere.test", True),
        ("axop@campus.test@elsewhere.test", "axop", False),
        ("ax.op", "axop", False),
        ("20077@campus.test", "uid-20077", True),
    ],
)
def test_a_name_in_a_realm_of_ours_is_that_name(one: str, other: str, same: bool) -> None:
    named = {"adm-axop": "axop", "chief": "boss@campus.test"}
    assert Persons(named, ["Campus.test"]).same([one], [other]) is same


def test_nobody_is_no_person() -> None:
    assert not Persons({}).same([], ["ann"])


def test_the_domain_of_the_directory_is_a_realm_of_ours() -> None:
    config = Config.model_validate(
        {
            "service": "test",
            "spool": "/nonexistent/spool",
            "journal": "/nonexistent/journal.db",
            "handlers": {"ad": {"use": "ad_account", "domain": "campus.test"}},
            "policy": {"rules": []},
        }
    )
    assert policy_of(config)._persons.same(["axop@campus.test"], ["axop"])
