"""What steps claim of accounts, and the want that the claims on one account give. Pure.

Promises: a refusal of parameters names the field; values that no claim names come from the
settings. Leaves out: comparing with the directory (`plan`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from handlers.ldap.accounts.dialect import Dialect
from handlers.ldap.accounts.params import AccountParams, check_allowed, check_texts
from handlers.ldap.accounts.settings import AccountSettings
from handlers.ldap.fields import merge_claims
from handlers.ldap.names import check_name
from provisioner.contract import (
    Claim,
    Home,
    Json,
    Key,
    KnownAfter,
    Site,
    State,
    Want,
    make_key,
    read_params,
    together,
)

_NO_LOGIN = frozenset({"nologin", "false", "true"})
"""Programs that exit at once as a login shell (nologin(8))."""


def lets_in(want: Want) -> bool:
    """Return True if people can log in by the shell of an open account."""
    return PurePosixPath(str(want.get("shell"))).name not in _NO_LOGIN


@dataclass(frozen=True, slots=True)
class Claims:
    """Reads the steps of one account handler."""

    site: Site
    settings: AccountSettings
    dialect: Dialect

    def read(self, params: Mapping[str, object]) -> AccountParams:
        """Return parameters; an empty one counts as not given. Raises InvalidRequest."""
        given = {name: value for name, value in params.items() if value is not None and value != ""}
        return read_params(self.dialect.params, given)

    def claimed(self, params: Mapping[str, object]) -> Mapping[Key, Want]:
        """Return the claim on one account. Raises InvalidRequest."""
        given, settings = self.read(params), self.settings
        name = check_name("name", given.name, settings.protected, self.dialect.longest)
        together(
            lambda: settings.ids.check("uid", given.uid),
            lambda: settings.gids.check("gid", given.gid, "gids"),
            lambda: check_texts(given),
            lambda: check_allowed(given.attributes, settings.attributes),
        )
        self.dialect.check(given, gives_numbers=settings.ids.container is not None)
        said = given.model_dump(exclude_none=True)
        # A value that the directory cannot hold at all is empty by now.
        want: dict[str, Any] = {field: value for field, value in said.items() if value != ""}
        return {make_key(self.site.instance, "account", name): {**want, "name": name}}

    def home(self, params: Mapping[str, object]) -> Home | None:
        """Return the home that an account gets; None if an earlier step decides."""
        given = self.read(params)
        name = given.name.lower()
        if isinstance(given.home, KnownAfter):
            return None
        return Home(name, given.home or self._default_home(name))

    def merged(self, claims: Sequence[Claim], prior: State | None) -> Want:
        """Return one want; values that no claim names come from the earlier state, or from the
        settings."""
        want = dict(merge_claims(claims, prior))
        if want["wanted"] != "open":
            return want
        saved = prior.get("shell") if prior is not None else None
        defaults: dict[str, Json] = {
            "home": self._default_home(str(want["name"])),
            "shell": saved or self.settings.shell,
            "gid": want.get("uid") if self.settings.gid == "uid" else self.settings.gid,
        }
        defaults = {name: value for name, value in defaults.items() if want.get(name) is None}
        return {**want, **defaults, "defaults": list(defaults)}

    def _default_home(self, name: str) -> str:
        return self.site.render(self.settings.home, {"name": name})
