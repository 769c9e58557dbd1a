"""What is planned for accounts: want and state in, verbs out. Nothing is connected to."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.ldap import ad_account, ad_group, adlds_account
from provisioner.contract import Claim, Conflict, Handler, NotReady, Permanent, Site
from provisioner.objects.merging import disputed

BASE = "DC=campus,DC=test"
SID = "S-1-5-21-1-2-3-1104"
ADDRESS: dict[str, object] = {"servers": ["ldaps://dc1.campus.test"], "base": BASE}
IDS = {"from": 10_000, "to": 60_000, "container": f"OU=ids,{BASE}"}


def site(instance: str) -> Site:
    def nothing(*_: object, **__: object) -> Any:
        raise AssertionError("a plan is pure")

    return Site(
        instance=instance,
        service="hpc1",
        run=nothing,
        host=nothing,  # type: ignore[arg-type]
        render=lambda text, values: text.replace("{{ name }}", str(values["name"])),
        template=nothing,
        secret=nothing,
    )


def managed(**more: object) -> Handler:
    own = {"mode": "manage", "container": f"OU=people,{BASE}", "domain": "campus.test"}
    return ad_account.build(site("ad"), {**ADDRESS, **own, **more})


def lds(**more: object) -> Handler:
    return adlds_account.build(
        site("lds"), {**ADDRESS, "container": f"OU=people,{BASE}", "ids": IDS, **more}
    )


OPEN: dict[str, Any] = {
    "present": True, "name": "jdoe", "dn": f"CN=jdoe,{BASE}", "sid": SID, "uid": 10_000,
    "gid": 10_000, "mail": None, "full_name": None, "given_name": None, "surname": None,
    "home": "/home/jdoe", "shell": "/bin/bash", "attributes": {}, "enabled": True, "control": 512,
    "mark": "hpc1:ad/account/jdoe", "note": "hpc1:ad/account/jdoe", "unfinished": False,
}  # fmt: skip
ABSENT: dict[str, Any] = {"present": False}
CLOSED = {**OPEN, "enabled": False, "control": 514}
FOREIGN = {**OPEN, "mark": "", "note": "", "uid": 777}
FITS = {**OPEN, "mark": "", "note": "Room 12"}


@pytest.mark.parametrize(
    ("params", "claimed", "state", "verbs"),
    [
        ({}, "live", ABSENT, ["create"]),
        ({}, "suspended", ABSENT, []),
        ({}, "none", ABSENT, []),
        ({}, "live", OPEN, []),
        ({"shell": "/bin/zsh"}, "live", OPEN, ["set"]),
        ({"uid": 10_001, "adopt": True}, "live", OPEN, Conflict),
        ({"gid": 10_001}, "live", OPEN, Conflict),
        ({}, "live", {**OPEN, "gid": 10_001}, []),
        ({}, "live", CLOSED, ["enable"]),
        ({}, "live", {**CLOSED, "unfinished": True}, ["finish"]),
        ({}, "live", {**OPEN, "uid": None}, ["number"]),
        ({}, "suspended", OPEN, ["disable"]),
        ({"shell": "/bin/zsh"}, "suspended", OPEN, ["disable"]),
        ({}, "suspended", CLOSED, []),
        ({}, "none", OPEN, ["disable"]),
        ({}, "none", FOREIGN, []),
        ({}, "live", FITS, ["adopt"]),
        ({"uid": 10_001}, "live", FOREIGN, Conflict),
        ({"shell": "/bin/zsh", "adopt": True}, "live", FOREIGN, ["adopt", "set"]),
        ({}, "live", {**OPEN, "mark": "hpc2:ad/account/jdoe"}, Conflict),
        ({"adopt": True}, "live", {**OPEN, "mark": "hpc2:ad/account/jdoe"}, Conflict),
    ],
)
def test_a_managed_account(
    params: dict[str, object], claimed: str, state: dict[str, Any], verbs: Any
) -> None:
    check(managed(ids=IDS), params, claimed, state, verbs)


@pytest.mark.parametrize(
    ("params", "claimed", "state", "verbs"),
    [
        ({}, "live", ABSENT, NotReady),
        ({}, "suspended", ABSENT, []),
        ({}, "none", ABSENT, []),
        ({}, "live", {**FOREIGN, "uid": 4711}, []),
        ({"uid": 10_000}, "live", OPEN, []),
        ({"uid": 10_001}, "live", OPEN, Conflict),
        ({}, "suspended", OPEN, []),
        ({"shell": "/bin/zsh"}, "live", OPEN, []),
        ({}, "live", {**OPEN, "uid": 0}, Permanent),
        ({}, "live", {**OPEN, "gid": 0}, Permanent),
    ],
)
def test_an_account_that_is_looked_up(
    params: dict[str, object], claimed: str, state: dict[str, Any], verbs: Any
) -> None:
    check(ad_account.build(site("ad"), ADDRESS), params, claimed, state, verbs)


PROXY = {**OPEN, "mark": "hpc1:lds/account/jdoe"}
NOLOGIN = {**PROXY, "enabled": False, "shell": "/sbin/nologin"}


@pytest.mark.parametrize(
    ("params", "claimed", "state", "verbs"),
    [
        ({}, "live", ABSENT, ["create"]),
        ({}, "live", PROXY, []),
        ({"uid": 10_001}, "live", PROXY, Conflict),
        ({}, "live", {**PROXY, "sid": "S-1-5-21-9-9-9-1104"}, Conflict),
        ({}, "live", {**PROXY, "uid": None}, ["number"]),
        ({}, "suspended", PROXY, ["disable"]),
        ({}, "suspended", NOLOGIN, []),
        ({}, "live", NOLOGIN, ["enable"]),
        ({"home": "/h/jdoe"}, "live", NOLOGIN, ["set", "enable"]),
        ({}, "none", PROXY, ["disable"]),
        ({}, "none", {**PROXY, "mark": ""}, []),
    ],
)
def test_a_proxy_in_ad_lds(
    params: dict[str, object], claimed: str, state: dict[str, Any], verbs: Any
) -> None:
    check(lds(), {"sid": SID, **params}, claimed, state, verbs)


def check(
    handler: Handler, params: dict[str, object], claimed: str, state: dict[str, Any], verbs: Any
) -> None:
    key, want = next(iter(handler.claims({"name": "jdoe", **params}).items()))
    claims = [] if claimed == "none" else [Claim("user:jdoe", want, claimed == "suspended")]
    merged = handler.merge(key, claims, None)
    if isinstance(verbs, list):
        assert [change.verb for change in handler.plan(key, merged, state)] == verbs
    else:
        with pytest.raises(verbs):
            handler.plan(key, merged, state)


def test_only_one_bit_of_the_control_word_changes() -> None:
    handler, control = managed(), 0x200 | 0x10000 | 0x800000
    key, want = next(iter(handler.claims({"name": "jdoe"}).items()))
    closing = handler.merge(key, [Claim("user:jdoe", want, suspended=True)], None)
    change = handler.plan(key, closing, {**OPEN, "control": control})[0]
    assert change.data["set"] == {"userAccountControl": str(control | 2)}


def test_a_shell_from_before_the_suspension_comes_back() -> None:
    handler = lds()
    key, want = next(iter(handler.claims({"name": "jdoe", "sid": SID}).items()))
    prior = handler.prior(key, {**PROXY, "shell": "/bin/zsh"})
    merged = handler.merge(key, [Claim("user:jdoe", want)], prior)
    assert handler.plan(key, merged, NOLOGIN)[0].data["set"] == {"loginShell": "/bin/zsh"}


def test_the_users_own_claim_wins() -> None:
    handler = managed()
    key, own = next(iter(handler.claims({"name": "jdoe", "shell": "/bin/zsh"}).items()))
    other = handler.claims({"name": "jdoe", "shell": "/bin/sh", "mail": "j@x.test"})[key]
    claims = [Claim("allocation:1/user:jdoe", other), Claim("user:jdoe", own)]
    want = handler.merge(key, claims, None)
    assert (want["shell"], want["mail"]) == ("/bin/zsh", "j@x.test")


def test_a_number_about_which_claims_differ_stays_as_it_is() -> None:
    handler = managed()
    key, one = next(iter(handler.claims({"name": "jdoe", "uid": 10_001}).items()))
    other = handler.claims({"name": "jdoe", "uid": 10_002, "mail": "j@x.test"})[key]
    want = handler.merge(key, [Claim("user:jdoe", one), Claim("allocation:1", other)], None)
    assert [change.data["set"] for change in handler.plan(key, want, OPEN)] == [
        {"mail": "j@x.test"}
    ]
    assert disputed(want) == (
        "uid stays unchanged, because claims contradict each other: allocation:1 wants uid 10002, "
        "user:jdoe wants uid 10001",
    )
    with pytest.raises(Conflict, match="disagree about its number"):
        handler.plan(key, want, ABSENT)


def test_claims_of_two_people_are_a_conflict() -> None:
    handler = lds()
    key, one = next(iter(handler.claims({"name": "jdoe", "sid": SID}).items()))
    other = handler.claims({"name": "jdoe", "sid": f"{SID}9"})[key]
    with pytest.raises(Conflict, match="several people"):
        handler.merge(key, [Claim("user:jdoe", one), Claim("allocation:1", other)], None)


def test_a_group_is_described_as_the_newest_request_says() -> None:
    own = {**ADDRESS, "container": f"OU=groups,{BASE}", "ids": IDS}
    handler = ad_group.build(site("groups"), own)
    key, one = next(iter(handler.claims({"group": "cf3", "description": "One"}).items()))
    other = handler.claims({"group": "cf3", "description": "Two"})[key]
    for orders, said in ((("1", "2"), "Two"), (("2", "1"), "One"), (("", ""), "Two")):
        both = [
            Claim("allocation:9", one, order=orders[0]),
            Claim("allocation:10", other, order=orders[1]),
        ]
        assert handler.merge(key, both, None)["description"] == said


def test_no_plan_tells_a_password() -> None:
    key, want = next(iter(managed().claims({"name": "jdoe"}).items()))
    created = managed().plan(key, managed().merge(key, [Claim("user:jdoe", want)], None), ABSENT)
    assert "assword" not in str(created)


MEMBER = {
    "present": True,
    "primary": False,
    "group_dn": "CN=cf3",
    "value": "CN=jdoe",
    "mark": "hpc1:g/group/cf3",
}
FOREIGN = {**MEMBER, "mark": ""}


@pytest.mark.parametrize(
    ("claimed", "state", "verbs"),
    [
        ("live", {**MEMBER, "present": False}, ["add-member"]),
        ("live", MEMBER, []),
        ("suspended", MEMBER, ["remove-member"]),
        ("none", MEMBER, ["remove-member"]),
        ("none", {**MEMBER, "present": False}, []),
        ("live", {**MEMBER, "present": False, "group_dn": None, "mark": ""}, NotReady),
        ("live", {**MEMBER, "present": False, "value": None}, NotReady),
        ("none", {"present": False, "group_dn": None, "value": None}, []),
        ("live", FOREIGN, Conflict),
        ("live", {**FOREIGN, "present": False}, Conflict),
        ("live", {**FOREIGN, "mark": "another:g/group/cf3"}, Conflict),
        ("adopting", {**FOREIGN, "present": False}, ["add-member"]),
        ("suspended", FOREIGN, Conflict),
        ("suspended", {**FOREIGN, "present": False}, []),
        ("none", FOREIGN, ["remove-member"]),
        ("live", {**MEMBER, "primary": True}, []),
        ("suspended", {**MEMBER, "primary": True}, Conflict),
        ("none", {**MEMBER, "primary": True}, Conflict),
    ],
)
def test_a_membership(claimed: str, state: dict[str, Any], verbs: Any) -> None:
    handler = ad_group.build(site("g"), {**ADDRESS, "container": f"OU=groups,{BASE}"})
    asked = {"group": "cf3", "user": "jdoe", "adopt": claimed == "adopting"}
    key, want = next(iter(handler.claims(asked).items()))
    assert key == "g/member/cf3/jdoe"
    claims = [] if claimed == "none" else [Claim("project:cf3", want, claimed == "suspended")]
    merged = handler.merge(key, claims, None)
    if isinstance(verbs, list):
        assert [change.verb for change in handler.plan(key, merged, state)] == verbs
    else:
        with pytest.raises(verbs):
            handler.plan(key, merged, state)
