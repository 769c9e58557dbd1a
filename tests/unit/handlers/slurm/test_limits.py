"""Slurm's limits: what differs, what is sent, and that what is read back differs in nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.emulators.slurm import sacctmgr_limits
from handlers.slurm.limits import amounts, values
from handlers.slurm.limits.keys import LIMITS, Kind
from handlers.slurm.limits.limits import (
    Limits,
    add_words,
    clear,
    differing,
    folded,
    is_clear,
    key_of,
    printed,
    set_words,
)
from handlers.slurm.limits.specs import parse_specs

QOS = ["normal", "debug", "long", "short"]
TRES = ["cpu", "mem", "energy", "node", "billing", "fs/disk", "vmem", "pages", "bb/burst",
        "gres/gpu", "gres/gpu:tesla", "license/a"]  # fmt: skip


@pytest.mark.parametrize(
    ("want", "seen", "set_"),
    [
        ({}, {"MaxJobs": 5}, []),
        ({"MaxJobs": 5}, {"MaxJobs": 5}, []),
        ({"MaxJobs": 5}, {}, ["MaxJobs=5"]),
        ({"MaxJobs": -1}, {}, []),
        ({"MaxJobs": -1}, {"MaxJobs": 0}, ["MaxJobs=-1"]),
        ({"MaxJobs": 0}, {}, ["MaxJobs=0"]),
        ({"Fairshare": 1}, {}, []),
        ({"Fairshare": 1}, {"Fairshare": "parent"}, ["Fairshare=1"]),
        ({"MaxWall": 91}, {"MaxWall": 90}, ["MaxWall=01:31:00"]),
        ({"GrpTRES/cpu": 1}, {"GrpTRES/cpu": 1, "GrpTRES/mem": 5}, []),
        (
            {"GrpTRES/mem": 1572864, "GrpTRES/cpu": 2},
            {"GrpTRES/cpu": 1},
            ["GrpTRES=cpu=2,mem=1536G"],
        ),
        ({"GrpTRES/cpu": -1}, {"GrpTRES/cpu": 64}, ["GrpTRES=cpu=-1"]),
        ({"GrpTRES": -1}, {"GrpTRES/cpu": 64, "GrpTRES/mem": 5}, ["GrpTRES=cpu=-1,mem=-1"]),
        ({"GrpTRES": -1}, {"GrpTRESMins/cpu": 64}, []),
        ({"GrpTRES": -1, "GrpTRES/cpu": 1}, {"GrpTRES/cpu": 1}, []),
        ({"GrpTRES": -1, "GrpTRES/cpu": 1}, {"GrpTRES/mem": 5}, ["GrpTRES=cpu=1,mem=-1"]),
        ({"QOS": "a,b"}, {"QOS": "a,b"}, []),
        ({"QOS": "a"}, {"QOS": "a,b"}, ["QOS=a"]),
        ({"QOS": "a"}, {"QOS+": "a"}, ["QOS=a"]),
        ({"QOS": ""}, {}, []),
        ({"QOS": ""}, {"QOS-": "a"}, ["QOS="]),
        ({"QOS+": "a"}, {"QOS": "a,b"}, []),
        ({"QOS+": "a"}, {"QOS+": "a,b"}, []),
        ({"QOS+": "a,c"}, {"QOS+": "a"}, ["QOS+=c"]),
        ({"QOS+": "a"}, {"QOS-": "a"}, ["QOS+=a"]),
        ({"QOS-": "a"}, {}, ["QOS-=a"]),
        ({"QOS-": "a"}, {"QOS": "b"}, []),
        ({"QOS-": "a"}, {"QOS": "a,b"}, ["QOS-=a"]),
        ({"DefaultQOS": -1}, {"DefaultQOS": "a"}, ["DefaultQOS=-1"]),
    ],
)  # fmt: skip
def test_what_differs_is_set_and_what_is_not_spoken_of_is_left(
    want: Limits, seen: Limits, set_: list[str]
) -> None:
    assert set_words(differing(want, seen)) == set_


def test_what_is_added_has_nothing_to_clear() -> None:
    want: Limits = {"MaxJobs": -1, "GrpJobs": 2, "QOS": "", "GrpTRES": -1, "Fairshare": 1}
    assert add_words(want) == ["GrpJobs=2"]


def test_a_list_of_qos_and_what_is_added_to_it_are_one() -> None:
    assert folded({"QOS": "a", "QOS+": "b", "QOS-": "a"}) == {"QOS": "b"}
    assert folded({"QOS+": "b", "QOS-": "a"}) == {"QOS+": "b", "QOS-": "a"}


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ("MaxJobs", "MaxJobs", -1), ("GrpTRES/gres/gpu:a", "GrpTRES", -1),
        ("GrpTRES", "GrpTRES", -1),
        ("QOS", "QOS", ""), ("QOS+", "QOS", ""), ("Fairshare", "Fairshare", 1),
        ("DefaultQOS", "DefaultQOS", -1), ("MaxWall", "MaxWall", -1),
    ],
)  # fmt: skip
def test_each_place_has_a_value_that_clears_it(place: str, key: str, value: int | str) -> None:
    assert (key_of(place), clear(place), is_clear(place, value)) == (key, value, True)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("1536G", 1572864), ("1.50T", 1572864), ("1025M", 1025), ("0", 0), ("1T", 1048576),
        ("8?", "8?"), ("2.50P", 2684354560),
    ],
)  # fmt: skip
def test_memory_is_read_as_sacctmgr_prints_it(text: str, limits: int | str) -> None:
    assert amounts.printed("mem", text) == limits


def test_a_row_is_read_without_what_is_not_set() -> None:
    row = dict.fromkeys(LIMITS, "")
    row |= {
        "Fairshare": "1",
        "GrpTRES": "cpu=5,gres/gpu:Tesla=2,mem=NONE",
        "MaxWall": "1-02:03:00",
        "QOS": "+long,-debug,+a",
    }
    assert printed(list(row.values())) == {
        "GrpTRES/cpu": 5,
        "GrpTRES/gres/gpu:tesla": 2,
        "MaxWall": 1563,
        "QOS+": "a,long",
        "QOS-": "debug",
    }


def test_what_cannot_be_read_differs_from_all() -> None:
    row = dict.fromkeys(LIMITS, "") | {"MaxWall": "INVALID", "GrpTRES": "mem=8?"}
    seen = printed(list(row.values()))
    assert differing({"MaxWall": 1, "GrpTRES/mem": 8}, seen) == {"MaxWall": 1, "GrpTRES/mem": 8}


def _times() -> st.SearchStrategy[str]:
    number = st.integers(0, 5000)
    return st.one_of(
        st.integers(0, values.MOST_MINUTES).map(str),
        st.builds("{}:{}".format, number, number),
        st.builds("{:02}:{:02}:{:02}".format, number, number, number),
        st.builds("{}-{}".format, number, st.integers(0, 99)),
        st.builds("{}-{}:{}:{}".format, number, number, number, number),
        st.sampled_from(["-1", "UNLIMITED", "3-"]),
    )


def _amount(resource: str) -> st.SearchStrategy[str]:
    whole = st.one_of(st.just(-1), st.integers(0, 10**6), st.integers(0, amounts.MOST))
    if resource not in ("mem", "bb/burst"):
        return whole.map(lambda number: f"{resource}={number}")
    memory = st.one_of(
        st.integers(-1, amounts.MOST_MEMORY).map(str),
        st.builds("{}{}".format, st.integers(1, 1023), st.sampled_from("MGTP")),
        st.builds("{}.5{}".format, st.integers(0, 1023), st.sampled_from("GTP")),
    )
    return memory.map(lambda number: f"{resource}={number}")


def _words() -> st.SearchStrategy[str]:
    counts = st.one_of(st.just(-1), st.integers(0, values.MOST_COUNTED))
    qos = st.lists(st.sampled_from(QOS), max_size=3).map(",".join)
    of_kind: dict[Kind, st.SearchStrategy[str]] = {
        Kind.COUNT: counts.map(lambda number: f"={number}"),
        Kind.SHARES: st.one_of(st.integers(-1, values.MOST_SHARES).map(str), st.just("parent")).map(
            lambda share: f"={share}"
        ),
        Kind.WALL: _times().map(lambda time: f"={time}"),
        Kind.TRES: st.one_of(
            st.lists(st.sampled_from(TRES).flatmap(_amount), min_size=1, max_size=4).map(
                lambda pairs: "=" + ",".join(pairs)
            ),
            st.just("=-1"),
        ),
        Kind.QOS: st.one_of(
            qos.map(lambda some: f"={some}"),
            st.builds("{}{}".format, st.sampled_from(["+=", "-=", "=+"]), st.sampled_from(QOS)),
        ),
        Kind.NAME: st.sampled_from([*QOS, "-1"]).map(lambda one: f"={one}"),
    }
    keys = st.sampled_from(list(LIMITS.values()))
    return keys.flatmap(lambda limit: of_kind[limit.kind].map(lambda text: limit.name + text))


def _try(text: str) -> Limits | None:
    """Read specs; None of what is told beforehand to be unreadable afterwards."""
    try:
        return parse_specs(text).limits
    except Exception as fault:
        assert "would print" in str(fault) or "count" in str(fault), fault
        return None


@given(st.lists(_words(), max_size=6), st.lists(_words(), max_size=6))
def test_what_is_read_back_plans_nothing(before: list[str], after: list[str]) -> None:
    """Whatever was there before: what is sent is kept and printed so that nothing is sent again."""
    kept: dict[str, object] = {}
    for some in (before, after):
        want = _try(":".join(some))
        if want is None:
            return
        sent = set_words(differing(want, _read(kept)))
        sacctmgr_limits.set_options(kept, [_option(word) for word in sent], QOS, TRES)
        assert set_words(differing(want, _read(kept))) == []


@given(st.lists(_words(), max_size=8))
def test_an_association_is_made_anew_with_what_was_set_at_it(words: list[str]) -> None:
    want = _try(":".join(words))
    if want is None:
        return
    kept: dict[str, object] = {}
    sacctmgr_limits.set_options(kept, [_option(word) for word in add_words(want)], QOS, TRES)
    anew: dict[str, object] = {}
    sacctmgr_limits.set_options(anew, [_option(word) for word in add_words(_read(kept))], QOS, TRES)
    assert _read(anew) == _read(kept)


def _option(word: str) -> tuple[str, str, str]:
    key, _, value = word.partition("=")
    sign = key[-1] if key[-1] in "+-" else ""
    return key.removesuffix(sign), f"{sign}=", value


def _read(kept: dict[str, object]) -> Limits:
    row = sacctmgr_limits.row(kept, [], raw=True)
    return printed([row.get(limit.column.lower(), "") for limit in LIMITS.values()])


DUMPED = {
    "MaxTRES": "MaxTRESPerJob",
    "MaxTRESMins": "MaxTRESMinsPerJob",
    "MaxWall": "MaxWallDurationPerJob",
}
"""The names that `sacctmgr dump` writes, where they are others (print_file_add_limits_to_line)."""


@given(st.lists(_words(), max_size=8))
def test_a_line_that_sacctmgr_dumps_says_what_is_there(words: list[str]) -> None:
    want = _try(":".join(words))
    if want is None:
        return
    kept: dict[str, object] = {}
    sacctmgr_limits.set_options(kept, [_option(word) for word in add_words(want)], QOS, TRES)
    row = sacctmgr_limits.row(kept, [], raw=True)
    line = []
    for limit in LIMITS.values():
        text = row.get(limit.column.lower(), "")
        if limit.kind is Kind.WALL and text:
            text = str(kept[limit.column.lower()])
        elif limit.kind in (Kind.QOS, Kind.NAME):
            text = f"'{text}'" if text else ""
        if text:
            line.append(f"{DUMPED.get(limit.name, limit.name)}={text}")
    read = parse_specs(":".join(line)).limits
    assert {p: v for p, v in read.items() if not is_clear(p, v)} == _read(kept)
