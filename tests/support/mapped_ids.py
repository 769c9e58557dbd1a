"""A sandbox whose host maps accounts of the campus to ids."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from handlers.ldap.directory.client import Directory
from handlers.ldap.directory.settings import DirectorySettings
from tests.support.cli_site import Desk

MAPPED = (851_707_146, 851_600_513)
"""What SSSD makes of a SID of an Active Directory: numbers of no directory."""


class Mapping(Desk):
    """A sandbox whose accounts the campus makes, and whose host maps SIDs to ids."""

    def __init__(self, root: Path, with_gate: bool = True) -> None:
        super().__init__(root)
        self.set("mode: manage", "mode: lookup")
        config = self.config.read_text()
        start, end = config.index("  lds:"), config.index("  names:")
        self.config.write_text(config[:start] + config[end:])
        if with_gate:
            program = root / "bin" / "mapped"
            program.write_text(
                '#!/bin/sh\nshift\nfor name; do grep "^$name:" "$0.lines" || code=2; done\n'
                "exit ${code:-0}\n"
            )
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            self.lines = root / "bin" / "mapped.lines"
            self.lines.write_text("")
            self.set(f'["{root}/bin/getent", passwd]', f'["{program}", passwd]')
        else:
            config = self.config.read_text()
            start, end = config.index("  names:"), config.index("  homes:")
            self.config.write_text(config[:start] + config[end:])

    def account(self, name: str, **also: int | str) -> None:
        """Make an account as the campus does."""
        settings = DirectorySettings.model_validate(
            {"servers": [f"emulated://{self.root}/ad.json"], "base": "DC=campus,DC=test"}
        )
        classes = ["top", "person", "organizationalPerson", "user"]
        Directory(settings, lambda _: "").add(
            f"CN={name},OU=people,DC=campus,DC=test",
            {"objectClass": classes, "sAMAccountName": name, **also},
        )

    def resolve(self, name: str, uid: int, gid: int) -> None:
        """Let the host resolve a user."""
        with self.lines.open("a") as lines:
            lines.write(f"{name}:x:{uid}:{gid}::{self.root}/home/{name}:/bin/bash\n")

    def home(self, name: str) -> Any:
        """Return what was read of a home; None if there is none."""
        status = self("status", f"user:{name}", "--json", code=None).json
        [home] = [one["state"] for one in status if one["object"] == f"homes/home/{name}"]
        return home
