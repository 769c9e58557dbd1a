"""Settings and parameters of the fileset handler, checked before anything calls GPFS.

Promises: strict names, sizes as numbers of bytes, one fault that names every mistake.
Leaves out: rules between a setting and a parameter (`handler`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from handlers.gpfs.terms.units import MAX_BLOCK_KIB, kib
from provisioner.contract import KnownAfter, parse_size

_DEFAULT_PATH = "{% if parent != 'root' %}{{ parent }}/{% endif %}{{ fileset }}"


def _fileset_name(name: str) -> str:
    # 1-255 characters, not `root` or `new`, no leading dash, no whitespace, none of
    # / ? $ & * ( ) ` # | [ ] \ (IBM, mmcrfileset), and no `:`, which separates Device:Fileset.
    if not re.fullmatch(r"[A-Za-z0-9_.@+][A-Za-z0-9_.@+-]{0,254}", name) or set(name) == {"."}:
        raise ValueError("a fileset's name has letters, digits and _ . @ + -, and no leading dash")
    if name.lower() in {"root", "new"}:
        raise ValueError(f"{name!r} is a name that GPFS reserves")
    return name


def _parent_name(name: str) -> str:
    return name if name == "root" else _fileset_name(name)


def _root(path: str) -> str:
    parts = path.split("/") if path else []
    if not all(re.fullmatch(r"[A-Za-z0-9_@+][A-Za-z0-9_.@+-]{0,254}", part) for part in parts):
        raise ValueError("give a path below the mount point, such as projects")
    return path


def _positive(value: object) -> object:
    if isinstance(value, int) and value <= 0:
        raise ValueError("a limit is more than 0; leave it out for none")
    return value


def _block_limit(value: object) -> object:
    if isinstance(value, int) and kib(value) > MAX_BLOCK_KIB:
        raise ValueError(f"a quota is at most {MAX_BLOCK_KIB} KiB")
    return value


Size = Annotated[
    int | KnownAfter,
    BeforeValidator(lambda value: parse_size(value) if isinstance(value, str) else value),
    AfterValidator(_positive),
    AfterValidator(_block_limit),
]
Count = Annotated[int | KnownAfter, AfterValidator(_positive)]
FilesetName = Annotated[str, AfterValidator(_fileset_name)]
ParentName = Annotated[str, AfterValidator(_parent_name)]
Mode = Annotated[str, Field(pattern=r"^[0-7]{3,4}$")]
Template = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Kind = Literal["independent", "dependent"]


def special(mode: str) -> bool:
    """Return True if a mode has set-id or sticky bits."""
    return bool(int(mode, 8) & 0o7000)


class Settings(BaseModel):
    """Settings of one file system."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filesystem: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
        description="the file system's device name",
        examples=["fs1"],
    )
    cluster: str = Field(
        "local",
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="a name for the GPFS cluster; file systems of one cluster share one lane",
        examples=["hpc"],
    )
    mount: Path | None = Field(
        None, description="mount point; default: what mmlsfs says", examples=["/gpfs/fs1"]
    )
    root: Annotated[str, AfterValidator(_root)] = Field(
        "",
        description="directory below the mount point for all junctions; empty: the mount point. It "
        "and every directory between it and a junction must belong to admins, and only admins may "
        "write there",
        examples=["projects"],
    )
    admins: tuple[int, ...] = Field(
        (0,), description="uids that may own directories above a junction"
    )
    path: str = Field(
        _DEFAULT_PATH,
        description="path of a junction below the mount point, from `fileset`, `parent` and "
        "`kind`; directories above it must exist",
        examples=["projects/{{ fileset }}"],
    )
    transport: Literal["mm", "rest"] = Field(
        "mm",
        description="how the cluster is reached: the mm commands, or the REST API v2 of its GUI",
        examples=["rest"],
    )
    gui: tuple[str, ...] = Field(
        (),
        description="with `transport: rest`, URLs of the GUI nodes, the preferred one first: "
        "[https://gui1.hpc.test, https://gui2.hpc.test]",
    )
    user: str = Field("", description="name of the secret with the name of the GUI user")
    password: str = Field("", description="name of the secret with the password of that user")
    ca_file: Path | None = Field(
        None,
        description="PEM file of the authority that signed the GUI's certificates; default: the "
        "system's authorities",
        examples=["/etc/provisioner/scale-gui.pem"],
    )
    paths: Literal["tools", "rest"] = Field(
        "tools",
        description="with `transport: rest`, who reads and sets owners and modes: chown, chmod and "
        "stat (`tools`, `prefix`) on a host where the file system is mounted, or the GUI, which is "
        "slow and can set no set-id bits",
        examples=["rest"],
    )
    poll: float = Field(
        2.0,
        gt=0,
        le=16,
        description="seconds before the first question about a job of the GUI; doubled for each "
        "further one, up to 16",
    )
    prefix: tuple[str, ...] = Field(
        (),
        description="words before every command; after ssh, all words are quoted",
        examples=[["sudo", "-n"], ["ssh", "gpfs1"]],
    )
    mm_path: Path = Field(Path("/usr/lpp/mmfs/bin"), description="directory of the mm commands")
    tools: Path = Field(Path("/usr/bin"), description="directory of chown, chmod and stat")
    timeout: float = Field(
        300.0,
        gt=0,
        description="seconds for one command; writes may wait for locks",
        examples=[600],
    )
    kind: Kind = Field("independent", description="kind if a request names none")
    parent: ParentName = Field(
        "root", description="inode space of dependent filesets if a request names none"
    )
    mode: Mode = Field("2770", description="mode of the root directory, octal", examples=["2770"])
    acl: Template | None = Field(
        None,
        description="NFSv4 ACL from templates/acl/NAME.j2 if a request names none",
        examples=["project"],
    )
    quota: Size | None = Field(
        None, description="space quota if a request names none", examples=["1TiB"]
    )
    files: Count | None = Field(
        None, description="files quota if a request names none", examples=[1000000]
    )
    below_use: Literal["allow", "refuse"] = Field(
        "allow",
        description="whether a quota may be cut below what is in use, so that nobody can write",
        examples=["refuse"],
    )
    min_id: int = Field(1000, ge=1, description="lowest uid and gid that may own a fileset")
    max_id: int = Field(4294967293, ge=1, description="highest uid and gid that may own a fileset")

    @field_validator("gui")
    @classmethod
    def _urls(cls, gui: tuple[str, ...]) -> tuple[str, ...]:
        for url in gui:
            if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:\d{1,5})?/?", url):
                raise ValueError(f"{url!r} is not https://HOST or https://HOST:PORT")
        return gui

    @model_validator(mode="after")
    def _whole(self) -> Settings:
        rest = {"gui": self.gui, "user": self.user, "password": self.password}
        if self.transport == "mm" and (given := [name for name, value in rest.items() if value]):
            raise ValueError(f"{', '.join(given)}: only with transport: rest")
        if self.transport == "mm" and self.paths == "rest":
            raise ValueError("paths: rest needs transport: rest")
        if self.transport == "rest" and (lacks := [n for n, value in rest.items() if not value]):
            raise ValueError(f"transport: rest needs {', '.join(lacks)}")
        if self.paths == "rest" and special(self.mode):
            raise ValueError(
                f"mode {self.mode!r}: the REST API has no endpoint for set-id and sticky bits; set "
                'a mode of three digits, such as "0770", or paths: tools'
            )
        return self


class Params(BaseModel):
    """The parameters that a route may give for one fileset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fileset: FilesetName = Field(description="the fileset's name", examples=["cf0003"])
    path: str | None = Field(
        None,
        description="path of its junction: absolute, or below the mount point",
        examples=["projects/cf0003"],
    )
    quota: Size | None = Field(
        None, description="space, soft and hard: bytes or a size", examples=["5TiB"]
    )
    files: Count | None = Field(
        None, description="number of files, soft and hard", examples=[2000000]
    )
    inode_limit: Count | None = Field(
        None,
        description="inodes of an independent fileset; default: `files`, because nobody could use "
        "a larger quota of files",
        examples=[2000000],
    )
    uid: int | KnownAfter | None = Field(
        None, description="owner; default: unchanged (root)", examples=[20001]
    )
    gid: int | KnownAfter | None = Field(
        None, description="group; default: unchanged (root)", examples=[30001]
    )
    group: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_.-]{0,31}$")] | KnownAfter | None = Field(
        None, description="the group's name, for the ACL template", examples=["cf0003"]
    )
    for_group: str | KnownAfter | None = Field(
        None,
        description="name of the group that will own it; with a name, `gid` is required",
        examples=["cf0003"],
    )
    mode: Mode | None = Field(None, description="mode of the root directory", examples=["2770"])
    acl: Template | None = Field(
        None, description="NFSv4 ACL from templates/acl/NAME.j2", examples=["project"]
    )
    kind: Kind | None = Field(None, description="independent or dependent", examples=["dependent"])
    parent: ParentName | None = Field(
        None,
        description="fileset that owns the inode space of a dependent one",
        examples=["cf0003"],
    )
    adopt: bool = Field(False, description="take over an existing fileset without our mark")
