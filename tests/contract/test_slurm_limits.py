"""Every limit of Slurm, set, read back, changed and cleared, emulated and real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from handlers.slurm.handler import Slurm
from handlers.slurm.limits.keys import LIMITS, PARTS
from handlers.slurm.limits.limits import COLUMNS, OWN, Limits, clear
from handlers.slurm.limits.specs import parse_specs
from provisioner.contract import Claim, InvalidRequest, Transient
from provisioner.convergence.converge import converge
from provisioner.objects.items import Item
from tests.support import slurm_sites
from tests.support.slurm_rounds import REFUSED, REFUSED_BY_26_05, ROUNDS, SAYABLE, TAKEN
from tests.support.slurm_sites import Cluster


@pytest.fixture(params=slurm_sites.BOTH)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    return slurm_sites.which(request.param, tmp_path)


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """Give a name that nobody had before, with two QOS of it, and take out what was made."""
    yield from slurm_sites.own_name(cluster, "a", "b")


def converged(handler: Slurm, params: Mapping[str, object]) -> tuple[list[str], Limits]:
    """Make it so; return what was changed, and the limits that were read back.

    An object of which what is read back would be changed again has a fault.
    """
    items = [Item(key, (Claim("allocation:1", w),)) for key, w in handler.claims(params).items()]
    (outcome,) = converge(handler, items, lambda _: None)
    assert outcome.fault is None, outcome.fault
    assert outcome.state is not None
    limits = outcome.state["limits"]
    assert isinstance(limits, dict)
    return list(outcome.changed), limits


def test_the_table_sets_and_clears_every_limit() -> None:
    changed = {place.partition("/")[0].rstrip("+-") for _, _, seen in ROUNDS for place in seen}
    assert changed == set(LIMITS)
    assert ROUNDS[-1][2] == {}


def test_the_table_writes_every_name_of_every_limit_and_sends_what_clears_it() -> None:
    names = {full for limit in LIMITS.values() for full, _ in limit.names}
    written = {word.partition("=")[0].rstrip("+-") for word, _, _ in ROUNDS}
    assert names | {part.name for part in PARTS} <= written
    tried = {word for word, _, _ in ROUNDS} | {word for _, word, _ in ROUNDS}
    assert {f"{name}={clear(name)}" for name in LIMITS} <= tried


@pytest.mark.parametrize("user", [False, True], ids=["account", "user"])
def test_every_limit_is_set_read_back_changed_and_cleared(
    cluster: Cluster, name: str, user: bool
) -> None:
    """Everything that an account hands down is set above, and changes nothing."""
    handler = cluster.handler()
    above = {"account": name + "up", "specs": f"MaxJobs=77:MaxTRES=cpu=77:MaxWall=77:QOS={name}b"}
    params: dict[str, object] = {"account": name, "parent": above["account"]}
    for some in (above, params):
        converged(handler, some)
    if user:
        params = {"account": name, "user": name}
        converged(handler, params)
    for written, sent, seen in SAYABLE if cluster.by_rest else ROUNDS:
        some = {**params, "specs": written.replace("@", name)}
        changed, limits = converged(handler, some)
        assert [one.rpartition(": ")[2].replace(", ", " ") for one in changed] == (
            [sent.replace("@", name)] if sent else []
        ), written
        wanted = {k: v.replace("@", name) if isinstance(v, str) else v for k, v in seen.items()}
        assert limits == wanted, written


@pytest.mark.parametrize("written", TAKEN)
def test_what_slurm_keeps_as_another_value_is_told_beforehand(
    cluster: Cluster, name: str, written: str
) -> None:
    """sacctmgr takes it with exit code 0, some of it until 26.05; the handler refuses all of it,
    and names the nearest.
    """
    kept, nearest = TAKEN[written]
    handler = cluster.handler()
    if written in REFUSED_BY_26_05 and handler._tools.slurmdbd.version() >= "26.05":
        with pytest.raises(Transient):
            _raw(cluster, name, written)
    else:
        assert _raw(cluster, name, written) == kept
    assert _nearest(written) == nearest


@pytest.mark.parametrize("written", REFUSED)
def test_what_slurm_refuses_is_told_beforehand(cluster: Cluster, name: str, written: str) -> None:
    """It would be tried eight times."""
    with pytest.raises(Transient):
        _raw(cluster, name, written)
    assert _nearest(written) == REFUSED[written]


def _raw(cluster: Cluster, name: str, written: str) -> str:
    """Tell sacctmgr, past the handler; return what it prints of all limits but of shares of 1."""
    converged(cluster.handler(), {"account": name})
    where = ["where", f"name={name}", f"cluster={cluster.settings['cluster']}"]
    cluster.admin(["modify", "account", *where, "set", written.replace("@", name)])
    (row,) = cluster.sacctmgr().show("assoc", [*OWN, f"account={name}"], COLUMNS)
    printed = (f"{column}={text}" for column, text in zip(COLUMNS, row, strict=True) if text)
    return " ".join(one for one in printed if one != "Fairshare=1")


def _nearest(written: str) -> str:
    with pytest.raises(InvalidRequest) as raised:
        parse_specs(written.replace("@", "x"))
    return raised.value.nearest.replace("xa,xb", "@a,@b")


def test_texts_in_the_specs_of_an_account_are_the_accounts(cluster: Cluster, name: str) -> None:
    handler = cluster.handler()
    params = {"account": name, "description": "from the title"}
    texts = "Description='protein: phase 2':Organization=bio"
    _, limits = converged(handler, {**params, "specs": f"{texts}:MaxJobs=3"})
    (state,) = handler.observe([f"slurm-a/account/{name}"]).values()
    assert isinstance(state, Mapping)
    assert (state["description"], state["organization"]) == ("protein: phase 2", "bio")
    assert limits == {"MaxJobs": 3}


@pytest.mark.parametrize("text", ["Description=x", "Organization=x"])
def test_a_users_specs_have_no_texts(tmp_path: Path, text: str) -> None:
    handler = slurm_sites.emulated(tmp_path).handler()
    with pytest.raises(InvalidRequest) as raised:
        handler.claims({"account": "cf1", "user": "ann", "specs": text})
    assert (raised.value.field, raised.value.expected) == (
        "specs",
        "write it in the account's specs",
    )


def test_a_text_of_specs_is_held_against_the_rules_of_parameters(tmp_path: Path) -> None:
    handler = slurm_sites.emulated(tmp_path).handler()
    (want,) = handler.claims({"account": "cf1", "specs": "Description='a\tb'"}).values()
    assert want["description"] == "a b"


def test_a_parameter_goes_before_specs(tmp_path: Path) -> None:
    handler = slurm_sites.emulated(tmp_path).handler()
    asked = {"account": "cf1", "qos": ["long"], "fairshare": 7, "specs": "QOS=debug:Fairshare=3"}
    (want,) = handler.claims(asked).values()
    assert want["limits"] == {"QOS": "long", "Fairshare": 7}


def test_a_default_qos_is_held_against_the_qos_of_the_request(tmp_path: Path) -> None:
    handler = slurm_sites.emulated(tmp_path).handler()
    with pytest.raises(InvalidRequest):
        handler.claims({"account": "cf1", "qos": ["long"], "specs": "DefaultQOS=debug"})


@pytest.mark.parametrize("cluster", slurm_sites.BY_SACCTMGR, indirect=True)
def test_what_is_handed_down_is_not_taken_for_ones_own(cluster: Cluster, name: str) -> None:
    """A limit is cleared at a user although their account has one, and is given to none anew."""
    handler = cluster.handler()
    above = f"MaxJobs=5:MaxTRES=cpu=5:MaxWall=5:Priority=5:QOS={name}a:DefaultQOS={name}a"
    converged(handler, {"account": name, "specs": above})
    user = {"account": name, "user": name}
    converged(handler, {**user, "specs": "MaxJobs=3"})
    changed, limits = converged(handler, {**user, "specs": "MaxJobs=-1:MaxTRES=-1:QOS="})
    assert (len(changed), limits) == (1, {})
