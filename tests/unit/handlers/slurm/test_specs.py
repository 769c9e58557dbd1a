"""Specs of Slurm: what people, portals and `sacctmgr dump` write, and what is asked for by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.slurm.limits.grammar import words
from handlers.slurm.limits.keys import LIMITS, PARTS, REFUSED, TEXTS
from handlers.slurm.limits.limits import Limits
from handlers.slurm.limits.specs import agreed, parse_specs
from provisioner.contract import InvalidRequest


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", {}),
        ("Fairshare=100", {"Fairshare": 100}),
        ("fairshare=parent", {"Fairshare": "parent"}),
        ("Fairshare=-1", {"Fairshare": 1}),
        ("MaxJobs=010", {"MaxJobs": 10}),
        ("MaxJobs=0", {"MaxJobs": 0}),
        ("MaxJobs='8'", {"MaxJobs": 8}),
        ("GrpJobs=-1", {"GrpJobs": -1}),
        ("maxsubmit=3", {"MaxSubmitJobs": 3}),
        # Times.
        ("MaxWall=90", {"MaxWall": 90}),
        ("MaxWall=24:00:00", {"MaxWall": 1440}),
        ("MaxWall=90:30", {"MaxWall": 91}),
        ("MaxWall=01:30:30", {"MaxWall": 91}),
        ("MaxWall=0:30", {"MaxWall": 1}),
        ("MaxWall=5:90", {"MaxWall": 7}),
        ("MaxWall=1-", {"MaxWall": 1440}),
        ("MaxWall=1-12", {"MaxWall": 2160}),
        ("MaxWall=1-2:3", {"MaxWall": 1563}),
        ("MaxWall=1-12:30:30", {"MaxWall": 2191}),
        ("MaxWall=UNLIMITED", {"MaxWall": -1}),
        ("MaxWall=0", {"MaxWall": 0}),
        # Resources.
        (
            "GrpTRES=cpu=10,mem=1G:MaxJobs=5",
            {"GrpTRES/cpu": 10, "GrpTRES/mem": 1024, "MaxJobs": 5},
        ),
        ("GrpTRES=mem=1536G", {"GrpTRES/mem": 1572864}),
        ("GrpTRES=mem=1.50T", {"GrpTRES/mem": 1572864}),
        ("GrpTRES=mem=10GB", {"GrpTRES/mem": 10240}),
        ("GrpTRES=mem=100", {"GrpTRES/mem": 100}),
        ("GrpTRES=1=5,2=3G", {"GrpTRES/cpu": 5, "GrpTRES/mem": 3072}),
        ("GrpTRES=CPU=-1,gres/GPU:A100=2", {"GrpTRES/cpu": -1, "GrpTRES/gres/gpu:a100": 2}),
        ("GrpTRES=-1", {"GrpTRES": -1}),
        ("GrpTRES=node=1K", {"GrpTRES/node": 1024}),
        ("GrpTRESMins=cpu=1M", {"GrpTRESMins/cpu": 1048576}),
        ("GrpTRES=gres/gpu:tesla=4", {"GrpTRES/gres/gpu:tesla": 4}),
        (
            "GrpTRES=cpu=4,gres/gpu:tesla=4:MaxJobs=3",
            {"GrpTRES/cpu": 4, "GrpTRES/gres/gpu:tesla": 4, "MaxJobs": 3},
        ),
        (
            "GrpTRES=gres/gpu:volta=4,license/a:b=2:GrpWall=1:0:0",
            {"GrpTRES/gres/gpu:volta": 4, "GrpTRES/license/a:b": 2, "GrpWall": 60},
        ),
        # QOS.
        ("QOS=debug,Long", {"QOS": "debug,long"}),
        ("QOS=", {"QOS": ""}),
        ("QOS+=debug", {"QOS+": "debug"}),
        ("QOS-=debug", {"QOS-": "debug"}),
        ("QOS=+debug", {"QOS+": "debug"}),
        ("QOS='+debug,-long'", {"QOS+": "debug", "QOS-": "long"}),
        ('QOS="debug"', {"QOS": "debug"}),
        ("QOS=debug:QOS+=long", {"QOS": "debug,long"}),
        ("QOS+=long:QOS=debug:QOS-=debug", {"QOS": "long"}),
        ("QOS+=a:QOS-=a", {"QOS-": "a"}),
        ("QOS+=a:QOS+=b", {"QOS+": "a,b"}),
        ("DefaultQOS='debug'", {"DefaultQOS": "debug"}),
        ("DefaultQOS=-1", {"DefaultQOS": -1}),
        # Words one after the other.
        ("MaxWall=24:00:00:GrpWall=100:00:00", {"MaxWall": 1440, "GrpWall": 6000}),
        ("MaxJobs=1 MaxSubmit=2", {"MaxJobs": 1, "MaxSubmitJobs": 2}),
        (" :MaxJobs=1::GrpJobs=2: ", {"MaxJobs": 1, "GrpJobs": 2}),
        ("MaxJobs = 1", {"MaxJobs": 1}),
        ("GrpTRES=cpu=1, mem=2", {"GrpTRES/cpu": 1, "GrpTRES/mem": 2}),
        ("MaxJobs=1:MaxJobs=2", {"MaxJobs": 2}),
    ],
)  # fmt: skip
def test_specs_are_read_as_slurm_means_them(text: str, limits: Limits) -> None:
    assert parse_specs(text).limits == limits


def test_a_line_of_a_dump_is_read() -> None:
    """Printed by `sacctmgr dump` of 22.05.8, but for the name in front."""
    line = (
        "Description='protein folding: phase 2':Organization='bio':Fairshare=10"
        ":GrpTRESMins=cpu=1000:GrpTRES=cpu=64,mem=1.50T:GrpJobsAccrue=6:GrpWall=6000:MaxTRESMinsPerJob=cpu=5"
        ":MaxTRESPerJob=cpu=6:MaxTRESPerNode=cpu=8:MaxJobs=3:MaxWallDurationPerJob=1440"
        ":Priority=4:QOS='+debug,+long'"
    )
    specs = parse_specs(line)
    assert specs.texts == {"description": "protein folding: phase 2", "organization": "bio"}
    assert specs.limits == {
        "Fairshare": 10,
        "GrpTRESMins/cpu": 1000,
        "GrpTRES/cpu": 64,
        "GrpTRES/mem": 1572864,
        "GrpJobsAccrue": 6,
        "GrpWall": 6000,
        "MaxTRESMins/cpu": 5,
        "MaxTRES/cpu": 6,
        "MaxTRESPerNode/cpu": 8,
        "MaxJobs": 3,
        "MaxWall": 1440,
        "Priority": 4,
        "QOS+": "debug,long",
    }


def test_texts_of_a_portal_are_one_after_the_other() -> None:
    assert parse_specs(["MaxWall=24:00:00", "GrpWall=100:00:00"]).limits == {
        "MaxWall": 1440,
        "GrpWall": 6000,
    }


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("MaxWallDurationPerJob", "MaxWall"), ("MaxWallDuration", "MaxWall"), ("maxw", "MaxWall"),
        ("Share", "Fairshare"), ("F", "Fairshare"), ("QosLevel", "QOS"), ("q", "QOS"),
        ("GrpSubmit", "GrpSubmitJobs"), ("GrpJ", "GrpJobs"), ("GrpJobsA", "GrpJobsAccrue"),
        ("MaxTRESPerJob", "MaxTRES"), ("MaxTRESPJ", "MaxTRES"), ("MaxTRESP", "MaxTRES"),
        ("MaxTRESPN", "MaxTRESPerNode"), ("MaxTRESMinsPerJob", "MaxTRESMins"),
        ("MaxTRESM", "MaxTRESMins"), ("GrpTRESR", "GrpTRESRunMins"), ("GrpTRESM", "GrpTRESMins"),
        ("Prio", "Priority"), ("MinPrio", "MinPrioThresh"), ("DefaultQ", "DefaultQOS"),
        ("DefQOS", "DefaultQOS"),
        ("GrpCPUs", "GrpTRES/cpu"), ("GrpMem", "GrpTRES/mem"), ("GrpNodes", "GrpTRES/node"),
        ("GrpCPUMins", "GrpTRESMins/cpu"), ("GrpCPURunMins", "GrpTRESRunMins/cpu"),
        ("MaxCPUs", "MaxTRES/cpu"), ("MaxNodesPerJob", "MaxTRES/node"), ("MaxN", "MaxTRES/node"),
        ("MaxCPUMins", "MaxTRESMins/cpu"), ("MaxCPURunMins", "MaxTRESRunMins/cpu"),
    ],
)  # fmt: skip
def test_a_key_is_found_by_each_name_that_sacctmgr_takes(name: str, key: str) -> None:
    value = "cpu=1" if key in ("MaxTRES", "MaxTRESPerNode", "MaxTRESMins", "GrpTRESRunMins",
                               "GrpTRESMins") else "1"  # fmt: skip
    (place,) = parse_specs(f"{name}={value}").limits
    assert place.removesuffix("/cpu" if value == "cpu=1" else "") == key


@pytest.mark.parametrize("full", [*REFUSED, "Coordinator"])
def test_a_key_that_is_no_limit_is_refused_with_the_reason(full: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_specs(f"{full}=x")
    assert raised.value.field == "specs"
    assert str(raised.value).startswith(f"'{full}=x' cannot be set: {REFUSED[full][1]}")


def test_every_key_is_taken_or_refused() -> None:
    """Each name that sacctmgr of 22.05, 24.11 and 26.05 compares with, in its sources."""
    known = (
        "AdminLevel Accounts Acct Clusters Comment Coordinator Classification DefaultAccount "
        "DefaultQOS DefaultWCKey Description FairShare Flags GrpCPUMins GrpCPURunMins GrpCpus "
        "GrpJobs GrpJobsAccrue GrpMemory GrpNodes GrpSubmitJobs GrpTRES GrpTRESMins "
        "GrpTRESRunMins GrpWall MaxCPUMinsPerJob MaxCPURunMins MaxCpusPerJob MaxJobs "
        "MaxJobsAccrue MaxNodesPerJob MaxSubmitJobs MaxTRES MaxTRESMinsPJ MaxTRESMinsPerJob "
        "MaxTRESPJ MaxTRESPN MaxTRESPerJob MaxTRESPerNode MaxTRESRunMins MaxWallDurationPerJob "
        "MinPrioThresh Names NewName Organization Parent Partition Priority QosLevel RawUsage "
        "Shares WCKeys"
    )
    taken = {full.lower() for limit in LIMITS.values() for full, _ in limit.names}
    taken |= {part.name.lower() for part in PARTS} | {name.lower() for name in (*REFUSED, *TEXTS)}
    assert {name.lower() for name in known.split()} <= taken


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("MaxJob", "MaxJobs"), ("MaxJobz=1", "MaxJobs"), ("GrpCPU=1", "GrpCPUs"),
        ("MaxJobs", "MaxJobs"), ("=3", ""), ("MaxJobs=1 junk", "MaxJobs=1"),
        ("MaxJobs=", "MaxJobs=-1"), ("MaxJobs=abc", ""), ("MaxJobs=1.5", "MaxJobs=1"),
        ("MaxJobs=12abc", "MaxJobs=12"), ("MaxJobs=-5", "MaxJobs=-1"),
        ("MaxJobs=unlimited", "MaxJobs=-1"),
        ("MaxJobs=2147483648", "MaxJobs=-1"), ("MaxJobs=$(id)", ""), ("MaxJobs+=3", "MaxJobs=3"),
        ("Fairshare=much", ""), ("Fairshare=parents", "Fairshare=parent"),
        ("Fairshare=1.5", "Fairshare=1"), ("Fairshare=2147483647", "Fairshare=-1"),
        ("MaxWall=long", ""), ("MaxWall=", "MaxWall=-1"), ("MaxWall=:5", ""),
        ("MaxWall=1-:5", ""), ("MaxWall=1:2:3:4", ""), ("MaxWall=99999-0", "MaxWall=-1"),
        ("MaxWall=35791394", "MaxWall=-1"),
        ("GrpTRES=", "GrpTRES=-1"), ("GrpTRES=,", "GrpTRES=-1"),
        ("GrpTRES=gpuu", "gpuu=1"), ("GrpTRES=cpuu=64", "cpu"), ("GrpTRES=cpu=many", ""),
        ("GrpTRES=gpu=2", "gres/gpu"), ("GrpTRES=memory=2G", "mem"), ("GrpTRES=fs=2", "fs/disk"),
        ("GrpTRES=cpu=64,gres/=2", "gres"), ("GrpTRES=9=2", ""), ("GrpTRES=cpu=", "GrpTRES=cpu=-1"),
        ("GrpTRES=mem=512K", "GrpTRES=mem=1M"), ("GrpTRES=mem=2048K", "GrpTRES=mem=2M"),
        ("GrpTRES=mem=0.3M", "GrpTRES=mem=1M"), ("GrpTRES=mem=1.3T", "GrpTRES=mem=1363149M"),
        ("GrpTRES=cpu=1T", "GrpTRES=cpu=1099511627776"), ("GrpTRES=cpu=1.5", "GrpTRES=cpu=2"),
        ("GrpTRES=mem=1049088", "GrpTRES=mem=1025G"), ("GrpTRES=mem=1024P", "GrpTRES=mem=-1"),
        ("GrpTRES=cpu=-2", "GrpTRES=cpu=-1"), ("GrpTRES=cpu=9223372036854775808", "GrpTRES=cpu=-1"),
        ("GrpTRES+=cpu=4", "GrpTRES=cpu=4"), ("GrpTRES=cpu+=4", "cpu=4"),
        ("GrpMemory=2G", "GrpTRES=mem=2G"), ("GrpCPUs=", "GrpCPUs=-1"),
        ("QOS=-1", "QOS="), ("QOS+=", "QOS="), ("QOS=a b", ""), ("QOS=a,+b", "QOS=a,b"),
        ("QOS='a','b'", ""), ("QOS='a", ""), ("DefaultQOS=", "DefaultQOS=-1"),
        ("DefaultQOS=a,b", ""), ("Description=", ""),
        ("MaxJobs=1 AdminLevel=Administrator", ""),
    ],
)  # fmt: skip
def test_what_slurm_would_refuse_or_keep_as_another_value_is_told_with_the_nearest(
    text: str, nearest: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_specs(text)
    assert (raised.value.field, raised.value.nearest) == ("specs", nearest)


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"QOS": "a,b", "DefaultQOS": "b"},
        {"QOS": "a", "DefaultQOS": -1},
        {"QOS": "a"},
        # What is inherited is not known yet.
        {"QOS": "", "DefaultQOS": "b"},
        {"QOS+": "a", "DefaultQOS": "b"},
        {"DefaultQOS": "b"},
    ],
)
def test_a_default_of_the_qos_may_be_asked_for(limits: Limits) -> None:
    assert agreed(limits) == limits


def test_a_default_that_is_none_of_the_qos_is_refused_with_one_that_is() -> None:
    with pytest.raises(InvalidRequest) as raised:
        agreed({"QOS": "a,b", "DefaultQOS": "c"})
    assert (raised.value.field, raised.value.nearest) == ("specs", "DefaultQOS=a")


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_specs("MaxJobs=many:GrpJobs=3:MaxWall=long:AdminLevel=Administrator", "user_specs")
    told = [raised.value, *raised.value.also]
    assert [fault.field for fault in told] == ["user_specs"] * 3


def as_coldfront(specs: list[str]) -> set[str]:
    """Take specs apart as ColdFront 1.1.10 does: at each colon, in no order."""
    return {item for text in specs for item in text.split(":")}


KEYS = st.sampled_from([*LIMITS, *(part.name for part in PARTS)])
PLAIN = st.text("abcdefghijklmnopqrstuvwxyz0123456789,-_.", min_size=1, max_size=8)


@given(
    st.lists(st.builds("{}{}={}".format, KEYS, st.sampled_from(["", "+", "-"]), PLAIN), max_size=4)
)
def test_values_without_colons_are_taken_apart_as_coldfronts_own_plugin_does(
    items: list[str],
) -> None:
    text = ":".join(items)
    assert {word.written for word in words(text)} == as_coldfront([text]) - {""}


def test_a_long_text_with_nothing_right_in_it_is_told_by_its_first_mistakes() -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_specs("a=1:" * 2000)
    assert len(raised.value.also) == 19


@given(st.text(max_size=200))
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    try:
        parse_specs(text)
    except InvalidRequest as fault:
        assert fault.field == "specs"
