"""Codes that a directory takes for no group's name: mapped by a setting, never two to one."""

from __future__ import annotations

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.ldap import ad_group
from handlers.ldap.groups.handler import Groups
from handlers.ldap.names import LONGEST, NAME, group_name
from provisioner.contract import InvalidRequest, Site, split_key

_FIRST = string.ascii_letters + string.digits
CODES = st.builds(
    "{}{}".format, st.sampled_from(_FIRST), st.text(f"{_FIRST}_.-", min_size=0, max_size=63)
)
"""What a request may write as a code."""


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("CF0003", "cf0003"),
        ("physics", "physics"),
        ("2024-physics", "p-2024-physics"),
        ("0042", "p-0042"),
        ("p-0042", "p-p-0042"),
        ("P-0042", "p-p-0042"),
        ("a" * 32, "a" * 32),
        ("a" * 45, "p-" + "a" * 17 + "-" + hashlib.sha256(b"a" * 45).hexdigest()[:12]),
        ("ends.", "p-ends.-------------"[:19] + "-" + hashlib.sha256(b"ends.").hexdigest()[:12]),
    ],
)
def test_what_a_code_becomes(code: str, name: str) -> None:
    assert group_name(code, "p-") == name


@given(CODES)
def test_whatever_it_becomes_every_backend_takes(code: str) -> None:
    name = group_name(code, "p-")
    assert NAME.match(name)
    assert len(name) <= LONGEST


def test_without_the_setting_a_code_stays_as_it_is() -> None:
    assert group_name("0042", None) == "0042"


@given(CODES, CODES)
def test_two_codes_are_never_one_group(one: str, other: str) -> None:
    if one.lower() != other.lower():
        assert group_name(one, "p-") != group_name(other, "p-")


@given(CODES)
def test_no_code_can_be_written_that_is_the_group_of_another(code: str) -> None:
    made = group_name(code, "p-")
    if made != code.lower():
        assert group_name(made, "p-") != made


def handler(**settings: object) -> Groups:
    nothing: object = None
    site = Site("groups", "hpc1", nothing, nothing, nothing, nothing, lambda _: "")  # type: ignore[arg-type]
    base = {"servers": ["ldaps://x"], "base": "DC=x", "container": "OU=x", "password": "x"}
    built = ad_group.build(site, {**base, "bind_dn": "CN=x", **settings})
    assert isinstance(built, Groups)
    return built


@pytest.mark.parametrize("code", ["2024-physics", "0042", "a" * 45])
def test_a_code_is_mapped_for_the_group_and_its_members_alike_and_told(code: str) -> None:
    groups = handler(prefix="p-")
    [group] = groups.claims({"group": code})
    [member] = groups.claims({"group": code, "user": "jdoe"})
    assert split_key(group)[2] == split_key(member)[2] == group_name(code, "p-")
    assert f"is the group {group_name(code, 'p-')}" in groups.adapted({"group": code})["group"]


@pytest.mark.parametrize("code", ["2024-physics", "0042", "a" * 45])
def test_without_the_setting_it_is_refused_at_once_and_the_setting_is_named(code: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        handler().claims({"group": code})
    assert "`prefix` in the handler's settings" in raised.value.expected
