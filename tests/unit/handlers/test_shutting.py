"""Shipped handlers say by their own parameters which wants shut people out."""

from __future__ import annotations

from typing import Any

import pytest

from handlers.gpfs import handler as gpfs
from handlers.ldap import ad_account, adlds_account
from handlers.slurm import handler as slurm
from provisioner.contract import Build, Claim, Site
from provisioner.contract.abilities import Shuts
from provisioner.routing.expressions import render_text

DIRECTORY: dict[str, object] = {
    "servers": ["emulated:///tmp/d.json"],
    "base": "DC=x",
    "container": "OU=p,DC=x",
}
SID = "S-1-5-21-1-2-3-1106"
KINDS: dict[str, tuple[Build, dict[str, object], dict[str, object]]] = {
    "slurm": (slurm.build, {"cluster": "a"}, {"account": "cf", "user": "ann"}),
    "gpfs_fileset": (gpfs.build, {"filesystem": "fs1"}, {"fileset": "cf", "gid": 5000}),
    "ad_account": (
        ad_account.build,
        {**DIRECTORY, "mode": "manage", "domain": "x.test"},
        {"name": "ann", "uid": 5000},
    ),
    "adlds_account": (adlds_account.build, DIRECTORY, {"name": "ann", "uid": 5000, "sid": SID}),
}


def site() -> Site:
    def nothing(*_: object, **__: object) -> Any:
        raise AssertionError("nothing is asked")

    return Site("it", "hpc1", nothing, nothing, render_text, nothing, nothing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "before", "after", "found"),
    [
        ("slurm", {}, {"partitions": ["gpu"]}, True),
        ("slurm", {"partitions": ["gpu"]}, {}, False),
        ("slurm", {}, {"specs": "MaxJobs=0"}, True),
        ("gpfs_fileset", {"quota": "10TiB"}, {"quota": "10GiB"}, True),
        ("gpfs_fileset", {"quota": "10TiB"}, {"quota": "5TiB"}, False),
        ("ad_account", {}, {"shell": "/sbin/nologin"}, True),
        ("ad_account", {"shell": "/bin/zsh"}, {}, False),
        ("adlds_account", {}, {"shell": "/sbin/nologin"}, True),
    ],
)
def test_a_want_of_less_use_shuts_people_out(
    kind: str, before: dict[str, object], after: dict[str, object], found: bool
) -> None:
    build, settings, params = KINDS[kind]
    handler = build(site(), settings)
    assert isinstance(handler, Shuts)
    (key,) = handler.claims(params)
    wants = [
        handler.merge(key, [Claim("user:ann", handler.claims({**params, **more})[key])], None)
        for more in (before, after)
    ]
    assert handler.shuts(key, *wants) is found
