"""Protected names: no request may touch them.

Promises: upper and lower case are the same, and a name is compared with hundreds of patterns at
once. Leaves out: where requests have names (`rules`), and which names a site adds (`config`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

SYSTEM_USERS = (
    *("root", "toor", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp"),
    *("proxy", "www-data", "backup", "list", "irc", "gnats", "nobody", "adm", "shutdown", "halt"),
    *("operator", "ftp", "sshd", "dbus", "messagebus", "polkitd", "sssd", "munge", "slurm", "ntp"),
    *("chrony", "rpc", "rpcuser", "ldap", "named", "mysql", "postgres", "systemd-*", "_*"),
    *("administrator", "guest", "krbtgt"),
)
SYSTEM_GROUPS = (
    *(
        "root",
        "wheel",
        "sudo",
        "admin",
        "adm",
        "daemon",
        "bin",
        "sys",
        "disk",
        "kmem",
        "mem",
        "tty",
    ),
    *(
        "shadow",
        "staff",
        "users",
        "operator",
        "src",
        "utmp",
        "utempter",
        "lxd",
        "docker",
        "libvirt",
    ),
    *("kvm", "dialout", "cdrom", "floppy", "tape", "audio", "video", "input", "render", "sgx"),
    *("plugdev", "netdev", "ssh_keys", "sshd", "slurm", "munge", "nobody", "nogroup", "systemd-*"),
    *("administrators", "wbpriv"),
)
SYSTEM_ACCOUNTS = ("root",)
"""Names that no request may touch: system users, groups and accounts of hosts, AD and Slurm."""


class Names:
    """Names and patterns of names. Each name of each request is compared with some hundred."""

    def __init__(self, names: Iterable[str]) -> None:
        folded = {name.casefold() for name in names}
        patterns = {name for name in folded if not _WILD.isdisjoint(name)}
        self._plain = folded - patterns
        self._patterns = re.compile("|".join(map(translate, sorted(patterns))) or r"(?!)")

    def __contains__(self, name: str) -> bool:
        return name in self._plain or self._patterns.match(name) is not None


_WILD = frozenset("*?[")
