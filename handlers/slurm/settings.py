"""Settings and parameters of the Slurm handler, checked before any call to Slurm.

Promises: names that sacctmgr takes, in the form that it holds; merge rules that fit their limits.
Leaves out: which limits a text of specs names (`limits.specs`), and rules between a setting and a
parameter (`handler`).
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from handlers.slurm.limits.merge import Rule, check_rules
from handlers.slurm.texts import LONGEST, as_held
from provisioner.contract import Fits

_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}\Z")
_PARTITION = re.compile(r"[a-z0-9_][a-z0-9_.+-]{0,63}\Z")
_ACCOUNT = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,63}\Z")


def _account(value: str) -> str:
    if not _ACCOUNT.match(value.lower()):
        raise ValueError(f"{value!r} is not an account: a-z 0-9 _ . -, at most 64")
    return value.lower()


def _user(value: str) -> str:
    if not _NAME.match(value):
        raise ValueError(f"{value!r} is not a user: a-z or _, then a-z 0-9 _ . -, at most 32")
    return value


def _partition(value: str) -> str:
    # sacctmgr keeps names in lower case, and slurmctld ignores case.
    if not _PARTITION.match(value.lower()):
        raise ValueError(f"{value!r} is not a partition: letters, digits, _ . + -, at most 64")
    return value.lower()


Account = Annotated[str, AfterValidator(_account)]
User = Annotated[str, AfterValidator(_user)]
Partition = Annotated[str, AfterValidator(_partition)]
Text = Annotated[str | None, Fits(LONGEST, as_held)]


Parser = Literal["v0.0.45", "v0.0.44", "v0.0.43", "v0.0.42"]

PARSERS: Final[tuple[Parser, ...]] = ("v0.0.45", "v0.0.44", "v0.0.43", "v0.0.42")
"""The known data parsers, the preferred one first: 24.11 has v0.0.42, 26.05 all."""


def _address(value: str) -> str:
    parts = urlsplit(value)
    where = parts.path if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in ("unix", "http", "https") or not where:
        raise ValueError(f"{value!r} is not unix:/PATH, http://HOST:PORT or https://HOST")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ValueError(
            f"{value!r} would send the token in clear text: use https, or a unix socket"
        )
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Settings(BaseModel):
    """Settings of one cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: str = Field(description="its name in Slurm", examples=["a"], pattern=r"^[a-z0-9_-]+$")
    lane: str = Field("slurm", description="lane; clusters of one slurmdbd must share it")
    transport: Literal["sacctmgr", "rest"] = Field(
        "sacctmgr", description="the way to slurmdbd: the program, or slurmrestd (docs/slurm.md)"
    )
    sacctmgr: tuple[str, ...] = Field(("sacctmgr",), description="program, with any prefix")
    sacctmgr_idle: float = Field(
        60.0,
        ge=0,
        description="seconds for which sacctmgr is kept running between looks; 0: a process for "
        "each question",
    )
    slurmrestd: Annotated[str, AfterValidator(_address)] | None = Field(
        None,
        description="address of slurmrestd, only with `transport: rest`; `https://HOST` for one on "
        "another host, behind a proxy",
        examples=["unix:/run/slurmrestd/socket"],
    )
    token: str | None = Field(
        None,
        description="name of the secret with the token that `scontrol token` made; none: "
        "slurmrestd knows the service by its unix socket",
    )
    rest_user: str | None = Field(
        None, description="user of that token, if slurmrestd needs to be told"
    )
    parser: Parser | None = Field(
        None, description="data parser of slurmrestd; default: the newest that both know"
    )
    ca_file: Path | None = Field(
        None, description="PEM file of the authority of `https://`; default: the system's"
    )
    scontrol: tuple[str, ...] = Field(
        ("scontrol",),
        description="program, to find failed uid lookups and partitions; empty: no search for them",
    )
    squeue: tuple[str, ...] = Field(("squeue",), description="program, to see running jobs")
    sacct: tuple[str, ...] = Field(
        ("sacct",), description="program, to see when people last had a job; only for `idle`"
    )
    scancel: tuple[str, ...] = Field(
        ("scancel",), description="program, to end jobs; only with `on_suspend: cancel`"
    )
    mysql: tuple[str, ...] = Field(
        (),
        description="client of slurmdbd's database, with options; `doctor` reads a setting by it",
        examples=[["mariadb", "--defaults-extra-file=/etc/provisioner/slurmdbd.cnf"]],
    )
    slurm_conf: str | None = Field(None, description="SLURM_CONF of the programs")
    timeout: float = Field(120.0, gt=0, description="seconds for one call")
    on_suspend: Literal["leave", "cancel"] = Field(
        "leave", description="jobs of a user whose association a suspension closes"
    )
    most_cancelled: int = Field(
        100,
        ge=1,
        description="the most jobs of one user in one account that are cancelled; more are left",
    )
    parent: Account = Field("root", description="parent of accounts for which a request names none")
    protected: tuple[str, ...] = Field(
        ("root",), description="users and accounts that the service never touches"
    )
    merge: Annotated[dict[str, Rule], AfterValidator(check_rules)] = Field(
        {},
        validate_default=True,
        description="how several claims on one account or association become one limit",
        examples=[{"GrpTRES": "sum", "DefaultQOS": "newest"}],
    )

    @model_validator(mode="after")
    def _reachable(self) -> Settings:
        if self.transport == "sacctmgr":
            return self
        if self.slurmrestd is None:
            raise ValueError(
                "transport: rest needs `slurmrestd`, such as unix:/run/slurmrestd/socket"
            )
        if self.token is None and not self.slurmrestd.startswith("unix:"):
            raise ValueError("slurmrestd takes nobody without a token over TCP: set `token`")
        return self


class Params(BaseModel):
    """An account; or, with a user, that user's association."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: Account = Field(description="the account", examples=["cf0003"])
    user: User | None = Field(None, description="the user in the account")
    parent: Account | None = Field(None, description="parent account")
    description: Text = Field(None, description="the account's description")
    organization: Text = Field(None, description="the account's organization")
    qos: tuple[str, ...] = Field((), description="QOS that may be used")
    fairshare: int | None = Field(None, ge=0, description="shares")
    specs: str | tuple[str, ...] | None = Field(
        None,
        description="limits; one text or several, as a portal has them",
        examples=["GrpTRES=cpu=64:MaxJobs=10"],
    )
    partitions: tuple[Partition, ...] = Field(
        (),
        description="the only partitions that the user gets; empty: all",
        examples=[["gpu"]],
    )
    default: bool = Field(False, description="make it the user's default account")
    adopt: bool = Field(False, description="take over an account that differs")
