"""A file system by REST, as the configuration says.

Promises: opens no connection. Leaves out: checks of single settings (`settings`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from handlers.gpfs.mm.programs import Programs, Tools
from handlers.gpfs.rest import client
from handlers.gpfs.rest.directories import RestDirectories
from handlers.gpfs.rest.gui import Gui
from handlers.gpfs.rest.jobs import Jobs
from handlers.gpfs.settings import Settings
from handlers.gpfs.transport import mount_of
from provisioner.contract import Site

ANSWER = 60.0
"""The longest time for one answer, in seconds: jobs are what takes long."""


def connect(site: Site, chosen: Settings, **timing: Any) -> client.Rest:
    """Return a file system by REST. timing: `wait` and `clock` of its jobs."""

    def login() -> tuple[str, str]:
        return site.secret(chosen.user), site.secret(chosen.password)

    gui = Gui(chosen.gui, login, chosen.ca_file, min(ANSWER, chosen.timeout))
    jobs = Jobs(gui, chosen.timeout, chosen.poll, **timing)

    @cache
    def mount() -> str:
        if chosen.mount is not None:
            return str(chosen.mount)
        return mount_of(client.facts(gui, chosen.filesystem), None)

    if chosen.paths == "rest":
        alone = RestDirectories(jobs, chosen.filesystem, mount)
        return client.Rest(gui, jobs, chosen.filesystem, alone, mount)
    tools = Tools(Programs(site.run, chosen.prefix, chosen.timeout), str(chosen.tools))
    return client.Rest(gui, jobs, chosen.filesystem, tools, mount, tools.missing)
