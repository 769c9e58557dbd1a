"""Protected names: no request may touch them.

Promises: upper and lower case are the same, and a name is compared with hundreds of patterns at
once. What somebody had before their name was protected stays theirs. Leaves out: where requests
have names (`rules`), and which names a site adds (`config`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate

from provisioner.journal.journal import Connection
from provisioner.journal.records import request_rows
from provisioner.objects.losses import Pair
from provisioner.system.ulid import RequestId

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


_TOLD = 5
"""The most objects that a note names."""


def spare(
    conn: Connection, request: RequestId, gone: set[Pair], protects: Callable[[Pair], bool]
) -> set[Pair]:
    """Return the claims that a request takes away, without those that no request may take.

    gone: those that it leaves out. Its writer is told which stay.
    """
    stay = {pair for pair in gone if protects(pair)}
    if stay:
        keys = sorted({key for key, _ in stay})
        more = f" and {len(keys) - _TOLD} more" if len(keys) > _TOLD else ""
        text = f"a name is protected, and no request touches it: {', '.join(keys[:_TOLD])}{more}"
        known = request_rows.load(conn, [request])[request].problems or []
        note = {"line": None, "key": "", "message": text}
        request_rows.set_problems(conn, request, [*known, note])
    return gone - stay
