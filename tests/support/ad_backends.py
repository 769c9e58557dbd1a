"""The directories that the suites run over: the emulated ones, and those of the lab.

A lab is named by PROVISIONER_LAB=DIR; DIR/lab.json says where its servers are. Every test gets
containers of its own, and names that nobody else has.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pytest

from handlers.emulators.ldap.directory import create
from handlers.emulators.ldap.store import Kind
from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.settings import DirectorySettings
from provisioner.contract import Site


@dataclass(frozen=True)
class Backend:
    """One directory. base: DN of this test's own containers; prefix: begins all its names."""

    kind: Kind
    connection: Mapping[str, Any]
    base: str
    prefix: str
    secrets: Mapping[str, Path] = field(default_factory=dict)
    domain: str = "campus.test"

    def site(self, instance: str) -> Site:
        """Return what a handler needs here: a secret and rendering."""

        def nothing(*_: object, **__: object) -> Any:
            raise AssertionError("a directory needs no programs, hosts or templates")

        return Site(
            instance=instance,
            service="hpc1",
            run=nothing,
            host=nothing,  # type: ignore[arg-type]
            render=lambda text, values: jinja2.Template(text).render(values),
            template=nothing,
            secret=lambda name: self.secrets[name].read_text().strip(),
        )

    def settings(self, place: str = "people", **more: object) -> dict[str, object]:
        """Return the settings of a handler that makes its objects in one of the containers."""
        return {
            **self.connection,
            "base": self.base,
            "container": f"OU={place},{self.base}",
            **more,
        }

    def ids(self, first: int = 10_000, last: int = 60_000) -> dict[str, object]:
        """Return a range with a container for its numbers."""
        return {"from": first, "to": last, "container": f"OU=ids,{self.base}"}

    def directory(self) -> Directory:
        """Connect as the handlers do, to prepare or to look."""
        settings = DirectorySettings.model_validate({**self.connection, "base": self.base})
        return Directory(settings, self.site("x").secret)

    def name(self, name: str) -> str:
        """Make a name that only this test uses."""
        return f"{self.prefix}{name}"

    def user(self, name: str, **attributes: object) -> str:
        """Make a user by hand, as somebody else would; return the DN."""
        dn = f"cn={name},OU=people,{self.base}"
        given: dict[str, Any] = {"objectClass": ["top", "person", "organizationalPerson", "user"]}
        given |= {"cn": name, "sn": name, **attributes}
        if self.kind == "ad":
            given["sAMAccountName"] = name
        self.directory().add(dn, given)
        return dn


def emulated(path: Path, kind: Kind, base: str = "DC=campus,DC=test") -> Backend:
    """Make an emulated directory."""
    file = path / f"{kind}.json"
    create(file, kind, base)
    return Backend(kind, {"servers": [f"emulated://{file}"]}, base, "t")


def real(kind: Kind) -> Backend:
    """Make containers in the lab's directory; fail if a lab is named but away."""
    lab = Path(os.environ["PROVISIONER_LAB"])
    settings = json.loads((lab / "lab.json").read_text())[kind]
    names = ("servers", "tls", "ca_file", "server_name", "bind_dn")
    connection = {name: settings[name] for name in names if settings.get(name)}
    connection["password"] = "directory"
    secret = {"directory": Path(settings["password_file"])}
    prefix = f"t{secrets.token_hex(3)}"
    top = Backend(kind, connection, settings["base"], prefix, secret)
    directory, base = top.directory(), f"OU={prefix},{settings['base']}"
    for dn in (base, *(f"OU={name},{base}" for name in ("people", "groups", "ids"))):
        directory.add(dn, {"objectClass": ["top", "organizationalUnit"]})
    return Backend(kind, connection, base, prefix, secret)


def backends(kind: Kind) -> list[Any]:
    """Return the directories of a kind as parameters of a fixture; the lab's has its marker."""
    return [
        pytest.param(("emulated", kind), id=f"emulated-{kind}"),
        pytest.param(("lab", kind), id=f"lab-{kind}", marks=pytest.mark.lab),
    ]


def make(which: tuple[str, Kind], path: Path) -> Iterator[Backend]:
    """Return the directory that a parameter names."""
    place, kind = which
    if place == "lab" and "PROVISIONER_LAB" not in os.environ:
        pytest.skip("PROVISIONER_LAB names no lab")
    yield emulated(path, kind) if place == "emulated" else real(kind)
