"""The handlers of directories keep the contract, over emulated ones, Samba and slapd."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from handlers.emulators.ldap.store import Kind
from handlers.ldap import ad_account, ad_group, adlds_account
from handlers.ldap.marks import mark_of
from provisioner.contract import Handler
from provisioner.testing import HandlerContract
from tests.support.ad_backends import Backend, emulated, real

SID = "S-1-5-21-1004336348-1177238915-682003330-1106"


class _OfADirectory(HandlerContract):
    """In an emulated directory, or in containers of its own in one of the lab's."""

    kind: Kind = "ad"
    note = "info"
    varying = ["dn", "sid"]

    def prepare(self, directory: Path) -> None:
        self.backend = self.make_backend(directory)
        self.name = self.backend.name("jdoe")
        # No secret of the backend may be in anything that people read.
        self.secrets = [path.read_text().strip() for path in self.backend.secrets.values()]
        self.speak(self.name, self.backend.name)

    def make_backend(self, directory: Path) -> Backend:
        return emulated(directory, self.kind)

    def speak(self, name: str, named: Any) -> None:
        """Set the parameters, and make what they need."""
        raise NotImplementedError

    def handler(self) -> Handler:
        return self.over(self.backend)

    def away(self) -> Handler:
        gone = {"servers": ["emulated:///nowhere/ad.json"]}
        return self.over(Backend(self.backend.kind, gone, self.backend.base, self.backend.prefix))

    def over(self, backend: Backend) -> Handler:
        raise NotImplementedError

    def set_by_hand(self, attribute: str, value: str | int) -> None:
        """Change an attribute of the person's account."""
        handler = self.handler()
        ((_, state),) = handler.observe(list(handler.claims(self.params))).items()
        assert not isinstance(state, Exception)
        self.backend.directory().modify(str(state["dn"]), [("replace", attribute, [value])])

    def disown(self) -> None:
        self.set_by_hand(self.note, "made by hand")


class TestAccountsOfTheCampus(_OfADirectory):
    """`ad_account` in mode `lookup`."""

    reads_only = True
    lists = False  # the campus has them, and none is ours to explain
    owns = False

    def speak(self, name: str, named: Any) -> None:
        for number, one in enumerate(("jdoe", "asmith", "bwong")):
            self.backend.user(named(one), uidNumber=10_000 + number, gidNumber=100)
        self.params = {"name": name}
        self.other_params = {"name": name, "uid": 10_000}
        self.more_params = [{"name": named("asmith")}, {"name": named("bwong"), "gid": 100}]
        self.absent_params = {"name": named("nobody")}
        self.bad_params = [("name", {}), ("uid", {"name": name, "uid": 0})]

    def over(self, backend: Backend) -> Handler:
        settings = {**backend.connection, "base": backend.base}
        return ad_account.build(backend.site(self.instance), settings)

    def disturb(self) -> None:
        self.set_by_hand("uidNumber", 7)


class TestAccountsInActiveDirectory(_OfADirectory):
    """`ad_account` in mode `manage`."""

    late = ["uid", "gid", "mail", "home", "shell"]

    def speak(self, name: str, named: Any) -> None:
        self.params = {"name": name, "full_name": "J. Doe", "shell": "/bin/bash"}
        self.other_params = {**self.params, "full_name": "Dr. J. Doe", "shell": "/bin/zsh"}
        self.more_params = [{"name": named("asmith")}, {"name": named("bwong"), "uid": 20_000}]
        self.bad_params = [
            ("name", {}),
            ("name", {"name": ""}),
            ("uid", {"name": name, "uid": 0}),
            ("home", {"name": name, "home": "/home/../etc"}),
            ("full_name", {"name": name, "full_name": ["a"]}),
            ("attributes.memberOf", {"name": name, "attributes": {"memberOf": "x"}}),
            ("emial", {"name": name, "emial": "j@campus.test"}),
        ]

    def over(self, backend: Backend) -> Handler:
        own: dict[str, Any] = {"mode": "manage", "domain": backend.domain, "ids": backend.ids()}
        return ad_account.build(backend.site(self.instance), backend.settings(**own))

    def disturb(self) -> None:
        self.set_by_hand("loginShell", "/bin/sh")


class TestProxiesInAdLds(_OfADirectory):
    """`adlds_account` with userProxy."""

    kind: Kind = "adlds"
    note = "description"
    late = ["sid", "uid", "gid", "mail", "home", "shell"]

    def speak(self, name: str, named: Any) -> None:
        self.params = {"name": name, "sid": SID, "home": f"/home/{name}"}
        self.other_params = {**self.params, "shell": "/bin/zsh"}
        self.more_params = [
            {"name": named(one), "sid": f"{SID}{number}"}
            for number, one in enumerate(("asmith", "bwong"))
        ]
        self.bad_params = [
            ("name", {"sid": SID}),
            ("sid", {"name": name}),
            ("sid", {"name": name, "sid": "S-2"}),
            ("gid", {**self.params, "gid": 0}),
            ("shell", {**self.params, "shell": "bash"}),
        ]

    def over(self, backend: Backend) -> Handler:
        settings = backend.settings(ids=backend.ids())
        return adlds_account.build(backend.site(self.instance), settings)

    def rearrange(self) -> None:
        self.set_by_hand("loginShell", "/bin/zsh")

    def disturb(self) -> None:
        self.set_by_hand("loginShell", "/bin/sh")


class TestAccountsInAPlainDirectory(TestProxiesInAdLds):
    """`adlds_account` with the profile `rfc2307`."""

    kind: Kind = "rfc2307"

    def speak(self, name: str, named: Any) -> None:
        super().speak(name, named)
        self.bad_params = [bad for bad in self.bad_params if bad[0] != "sid"]

    def over(self, backend: Backend) -> Handler:
        settings = backend.settings(ids=backend.ids(), profile="rfc2307")
        return adlds_account.build(backend.site(self.instance), settings)


class TestGroups(_OfADirectory):
    """`ad_group`, the groups themselves."""

    names = ["group"]
    late = ["gid"]

    def speak(self, name: str, named: Any) -> None:
        self.params = {"group": name, "description": "Protein folding", "gid": 20_000}
        self.other_params = {"group": name, "description": "Protein unfolding", "gid": 20_000}
        self.more_params = [{"group": named("cf4")}, {"group": named("cf5"), "gid": 20_005}]
        self.bad_params = [
            ("group", {}),
            ("gid", {"group": name, "gid": 0}),
            ("description", {"group": name, "description": ["a"]}),
            ("grp", {"group": name, "grp": "x"}),
        ]

    def over(self, backend: Backend) -> Handler:
        own: dict[str, Any] = {"profile": backend.kind, "ids": backend.ids()}
        return ad_group.build(backend.site(self.instance), backend.settings("groups", **own))

    def disturb(self) -> None:
        self.set_by_hand("description", "Cooking")


class TestMembers(TestGroups):
    """`ad_group`, its memberships."""

    names = ["group", "user"]
    late = []
    removes = True
    varying = ["group_dn", "value", "mark", "sid"]

    def speak(self, name: str, named: Any) -> None:
        service = self.backend.site(self.instance).service
        self.backend.directory().add(
            self.group,
            {
                "objectClass": ["top", "group"],
                "sAMAccountName": name,
                "groupType": "-2147483646",
                "info": mark_of(service, f"{self.instance}/group/{name}"),
            },
        )
        self.users = [self.backend.user(named(one)) for one in ("one", "two", "three")]
        self.params = {"group": name, "user": named("one")}
        self.more_params = [{"group": name, "user": named(one)} for one in ("two", "three")]
        self.bad_params = [("group", {"user": name}), ("user", {"group": name, "user": "a b"})]

    @property
    def group(self) -> str:
        return f"CN={self.name},OU=groups,{self.backend.base}"

    def disturb(self) -> None:
        self.backend.directory().modify(self.group, [("delete", "member", [self.users[0]])])

    def disown(self) -> None:
        self.backend.directory().modify(self.group, [("replace", "info", ["made by hand"])])


class _InTheLab(_OfADirectory):
    """Names differ from test to test, so all that has a name in it does."""

    pytestmark = [
        pytest.mark.lab,
        pytest.mark.skipif("PROVISIONER_LAB" not in os.environ, reason="no lab"),
    ]
    varying = ["dn", "sid", "name", "surname", "home", "mark", "note", "group_dn", "value"]

    def make_backend(self, directory: Path) -> Backend:
        return real(self.kind)


class TestAccountsOfTheCampusInTheLab(_InTheLab, TestAccountsOfTheCampus):
    pass


class TestAccountsInActiveDirectoryInTheLab(_InTheLab, TestAccountsInActiveDirectory):
    pass


class TestProxiesInAdLdsInTheLab(_InTheLab, TestProxiesInAdLds):
    pass


class TestAccountsInAPlainDirectoryInTheLab(_InTheLab, TestAccountsInAPlainDirectory):
    pass


class TestGroupsInTheLab(_InTheLab, TestGroups):
    pass


class TestMembersInTheLab(_InTheLab, TestMembers):
    pass
