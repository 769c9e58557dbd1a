"""Groups and their members, in Active Directory, AD LDS or a plain RFC 2307 directory: the entry
point.

Leaves out: the handler itself (`groups.handler`).
"""

from __future__ import annotations

from collections.abc import Mapping

from handlers.ldap.groups.handler import Groups
from handlers.ldap.groups.settings import Params, Settings
from provisioner.contract import Handler, Site, read_settings

__all__ = ["Params", "Settings", "build"]


def build(site: Site, settings: Mapping[str, object]) -> Handler:
    """Build the handler. Raises ConfigError that names the wrong setting."""
    return Groups(site, read_settings(Settings, settings))
