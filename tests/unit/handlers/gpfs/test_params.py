"""What a request may say of a fileset, and what settings a file system takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from handlers.gpfs.handler import FilesetHandler, Params, Settings, build
from provisioner.contract import ConfigError, InvalidRequest, KnownAfter, Site
from provisioner.routing.expressions import render_text

TEMPLATES = Path(__file__).parents[4] / "templates"


def handler(**settings: object) -> FilesetHandler:
    def nothing(*_: object, **__: object) -> Any:
        raise AssertionError("claims are pure")

    site = Site(
        instance="fs1",
        service="hpc1",
        run=nothing,
        host=nothing,  # type: ignore[arg-type]
        render=render_text,
        template=lambda name: TEMPLATES / name,
        secret=nothing,
    )
    built = build(site, {"filesystem": "fs1", **settings})
    assert isinstance(built, FilesetHandler)
    return built


def want(of: FilesetHandler | None = None, **params: object) -> dict[str, Any]:
    (claimed,) = (of or handler()).claims({"fileset": "cf3", **params}).values()
    return dict(claimed)


def test_the_key_names_instance_and_fileset() -> None:
    assert list(handler().claims({"fileset": "cf3"})) == ["fs1/fileset/cf3"]


@pytest.mark.parametrize(
    ("params", "field", "value"),
    [
        ({"quota": "5TiB"}, "quota", 5 << 30),
        ({"quota": 1025}, "quota", 2),
        ({"quota": "1025"}, "quota", 2),
        ({"files": "2000"}, "files", 2000),
        ({"files": "2000"}, "inode_limit", 2000),
        ({"files": 2000, "inode_limit": 3000}, "inode_limit", 3000),
        ({"files": 2000, "kind": "dependent"}, "inode_limit", None),
        ({"uid": "2001"}, "uid", 2001),
        ({}, "path", "cf3"),
        ({"kind": "dependent", "parent": "cf0"}, "path", "cf0/cf3"),
        ({"path": "a/b"}, "path", "a/b"),
        ({}, "mode", "2770"),
        ({"adopt": True}, "adopt", True),
    ],
)
def test_what_is_wanted(params: dict[str, Any], field: str, value: object) -> None:
    assert want(**params)[field] == value


def test_a_size_means_the_same_in_a_request_and_in_the_settings() -> None:
    assert want(handler(quota="1.1TiB"))["quota"] == want(quota="1.1TiB")["quota"]
    with pytest.raises(InvalidRequest) as refused:
        want(quota="10T")
    assert refused.value.expected == "10TiB (by 1024) or 10TB (by 1000)"
    with pytest.raises(ConfigError, match=r"10TiB \(by 1024\)"):
        handler(quota="10T")


def test_defaults_come_from_the_settings() -> None:
    found = want(
        handler(kind="dependent", parent="cf0", quota="1TiB", mode="0750", path="p/{{ fileset }}")
    )
    assert (found["kind"], found["parent"]) == ("dependent", "cf0")
    assert (found["quota"], found["mode"], found["path"]) == (1 << 30, "0750", "p/cf3")


def test_an_absolute_path_below_the_mount_point() -> None:
    assert want(handler(mount="/gpfs/fs1"), path="/gpfs/fs1/a/b")["path"] == "a/b"


def test_an_absolute_path_waits_for_the_mount_point_where_none_is_set() -> None:
    assert want(handler(), path="/gpfs/fs1/a/b")["path"] == "/gpfs/fs1/a/b"
    with pytest.raises(InvalidRequest, match="below the mount point"):
        want(handler(mount="/gpfs/fs1"), path="/etc")


def test_what_is_known_later_stays_so() -> None:
    late = KnownAfter("group")
    found = want(gid=late, quota=late, acl="project", group=late)
    assert (found["gid"], found["quota"], found["acl"]) == (late, late, late)


def test_the_shipped_acl_template() -> None:
    acl = want(acl="project", group="cf3")["acl"]
    heads = [line for line in acl.splitlines() if line and line[0] not in " #"]
    assert heads == [
        "special:owner@:rwxc:allow:FileInherit:DirInherit",
        "special:group@:rwx-:allow:FileInherit:DirInherit",
        "group:cf3:rwx-:allow:FileInherit:DirInherit",
        "special:everyone@:----:allow:FileInherit:DirInherit",
    ]


NO_NAMES = ["", "root", "new", "-x", "a b", "a:b", "a/b", "..", "a\n", "a$b", "x" * 256]
NO_NAMES += ["a%b", "a,b", "(a)", "é", "a;b", "a*", "a`b`", "a\\b"]
NO_PATHS = ["/", "a//b", "../a", "a/../b", "/a/../b", "a b", "-a", "a\n", "a/$(b)"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        *(({"fileset": name}, "fileset") for name in NO_NAMES),
        *(({"path": path}, "path") for path in NO_PATHS),
        *(({"uid": uid}, "uid") for uid in (0, 999, -1, "root", 4294967294)),
        ({"gid": 0}, "gid"),
        ({"quota": 0}, "quota"),
        ({"quota": "lots"}, "quota"),
        ({"quota": "999999P"}, "quota"),
        ({"files": 0}, "files"),
        ({"mode": "rwx"}, "mode"),
        ({"mode": "99"}, "mode"),
        ({"acl": "../x"}, "acl"),
        ({"acl": "nowhere"}, "acl"),
        ({"acl": "project", "group": "x:y"}, "group"),
        ({"kind": "both"}, "kind"),
        ({"parent": "a:b", "kind": "dependent"}, "parent"),
        ({"parent": "cf0"}, "parent"),
        ({"kind": "dependent", "inode_limit": 5}, "inode_limit"),
        ({"qouta": 5}, "qouta"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(params: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        want(**params)
    assert raised.value.field == field


def test_a_misspelt_parameter_gets_the_nearest() -> None:
    with pytest.raises(InvalidRequest) as raised:
        want(qouta=5)
    assert raised.value.nearest == "quota"


@pytest.mark.parametrize(
    "settings",
    [
        {"filesystem": "a b"},
        {"filesystem": "-x"},
        {"mount": "relative"},
        {"mm_path": "bin"},
        {"timeout": 0},
        {"unknown": 1},
        {"kind": "x"},
        {"mode": "x"},
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        handler(**settings)


def test_file_systems_of_one_cluster_share_a_lane() -> None:
    assert handler().lane == handler(filesystem="fs2").lane == "gpfs:local"
    assert handler(cluster="b").lane == "gpfs:b"


@pytest.mark.parametrize("model", [Settings, Params])
def test_every_field_says_what_it_is(model: type[Settings] | type[Params]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.examples or field.default is not None, name
