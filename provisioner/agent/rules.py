"""What the agent may do: its configuration, which only root may write, and its log.

Promises: the agent refuses a configuration that another user could have written, or that has an
unknown word. A rule's message says what is wrong with a question and where the limit is set. Leaves
out: doing anything.

The format is TOML, which Python reads without any library: the agent imports little.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import stat
import syslog
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provisioner.agent.ways import Use, Way
from provisioner.contract import CLOSED_HOME, ConfigError, Permanent, Unavailable, closed_home
from provisioner.system.ownership import check_chain

DEFAULT_PATH = Path("/etc/provisioner/agent.toml")
SIZE = 1 << 20

_COMPONENT = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9_.@+-]{0,254}\Z")
_ENTRY = re.compile(r"(d:)?([ug]:([0-9]{0,10})|o:):[r-][w-][x-]\Z")
_MORE = "..."
_USES = {
    "ways": Use(),
    "descriptors": Use(descriptor=True),
    "reads": None,
}
"""How a tool may use its paths; None: it changes nothing, and the agent does not check them."""

_LAST_ID = 4294967294
_NAMES = {
    "": {"allow", "log", "seconds", "idle", "skeletons", "roots", "tools", "ways"},
    "roots": {"depths", "ids", "bits"},
    "ways": {"admins"},
    "tools": {"path", "arguments", "taking", "uses", "seconds", "stdin", "environment"},
}


@dataclass(frozen=True, slots=True)
class Root:
    """What may be done below one root.

    depths: how many names a home's path may have; first, last: ids that may own a home; bits:
    permission bits that a home may have.
    """

    depths: frozenset[int] = frozenset({1})
    first: int = 1000
    last: int = _LAST_ID - 1
    bits: int = 0o3775

    def path(self, path: str) -> str:
        """Return a home's path. Raises Permanent for a path that the rule does not allow."""
        parts = path.split("/")
        if not all(_COMPONENT.match(part) for part in parts):
            raise Permanent(f"{path[:300]!r} is not a path of a home below a root")
        if len(parts) not in self.depths:
            depths = " or ".join(map(str, sorted(self.depths)))
            advice = "check `depths` of the root in the agent's configuration"
            raise Permanent(f"{path[:300]!r} has {len(parts)} names, not {depths}", advice=advice)
        return path

    def check_ids(self, uid: int, gid: int, *, closing: bool = False) -> None:
        """Raise Permanent for an owner or group out of range; closing: the home may become
        root's."""
        for kind, number in (("uid", uid), ("gid", gid)):
            if closing and kind == "uid" and number == 0:
                continue
            if not self.first <= number <= self.last:
                advice = "check `ids` of the root in the agent's configuration"
                said = f"{kind} {number} is not between {self.first} and {self.last}"
                raise Permanent(said, advice=advice)

    def check_mode(self, mode: int) -> None:
        """Raise Permanent for permission bits that the rule forbids; those of a closed home are
        allowed."""
        closing = closed_home(mode) and mode <= CLOSED_HOME | 0o700
        if mode < 0 or (mode & ~self.bits and not closing):
            advice = "check `bits` of the root in the agent's configuration"
            raise Permanent(f"mode {mode:04o} has bits that {self.bits:04o} lacks", advice=advice)

    def check_acl(self, acl: str) -> str:
        """Return a POSIX ACL. Raises Permanent for an entry that the rule does not allow."""
        for entry in [part.strip() for part in acl.split(",") if part.strip()]:
            found = _ENTRY.match(entry)
            if found is None or int(found[3] or 0) > _LAST_ID:
                raise Permanent(f"{entry[:60]!r} is not an entry of an ACL, such as u:1234:rwx")
        return acl


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that the agent may run. shapes: the allowed argument lists, a pattern for each
    word; taking: those that only remove access, on directories that may be anywhere below a way;
    use: how it uses paths, None: it changes nothing; seconds: its time limit; stdin: most bytes of
    its input."""

    name: str
    path: Path
    shapes: Sequence[Sequence[re.Pattern[str] | None]]
    taking: Sequence[Sequence[re.Pattern[str] | None]] = ()
    use: Use | None = field(default_factory=Use)
    seconds: float = 60.0
    stdin: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)

    def check(self, arguments: Sequence[str], stdin: str) -> Use | None:
        """Return how the tool uses the paths among its arguments. Raises Permanent for arguments or
        input that the rule does not allow."""
        if len(stdin.encode("utf-8", "backslashreplace")) > self.stdin:
            raise Permanent(
                f"{self.name} takes at most {self.stdin} bytes of input",
                advice=f"check `stdin` of tools.{self.name} in the agent's configuration",
            )
        if any("\0" in word for word in arguments):
            raise Permanent(f"{self.name}: an argument contains a NUL")
        if any(_fits(shape, arguments) for shape in self.taking):
            return Use(steered=True, descriptor=True)
        if any(_fits(shape, arguments) for shape in self.shapes):
            return self.use
        raise Permanent(
            f"{self.name} may not be run as {shlex.join(arguments)[:300]!r}",
            advice=f"check `arguments` of tools.{self.name} in the agent's configuration",
        )


def _fits(shape: Sequence[re.Pattern[str] | None], arguments: Sequence[str]) -> bool:
    """Return True if arguments match a shape; None at its end allows any number more of the last
    one."""
    if shape and shape[-1] is None:
        *shape, last = shape[:-1]
        shape = [*shape, last, *[last] * (len(arguments) - len(shape) - 1)]
    return len(shape) == len(arguments) and all(
        pattern is not None and pattern.fullmatch(word)
        for pattern, word in zip(shape, arguments, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """The configuration. allow: uids that may ask; seconds: for one verb; idle: seconds without a
    question after which the agent exits; log: a file's path, or `syslog`."""

    allow: frozenset[int] = frozenset()
    log: str = "syslog"
    seconds: float = 60.0
    idle: float = 300.0
    skeletons: Mapping[str, Path] = field(default_factory=dict)
    roots: Mapping[str, Root] = field(default_factory=dict)
    tools: Mapping[str, Tool] = field(default_factory=dict)
    ways: Sequence[Way] = (Way(),)

    def root(self, root: str) -> Root:
        """Return the rule of a root. Raises Permanent for an unknown root."""
        if root not in self.roots:
            advice = f"if homes are there: [roots.{json.dumps(root[:200])}] in {DEFAULT_PATH}"
            raise Permanent(f"{root[:200]!r} is not a root of this agent", advice=advice)
        return self.roots[root]

    def skeleton(self, name: str | None) -> Path | None:
        """Return the path of a skeleton: a question names it, but may not say where it is."""
        if name is None:
            return None
        if name not in self.skeletons:
            advice = f"check `skeletons` in {DEFAULT_PATH}: {', '.join(self.skeletons) or 'none'}"
            raise Permanent(f"{name[:200]!r} is not a skeleton of this agent", advice=advice)
        return trusted(self.skeletons[name])

    def tool(self, name: str) -> Tool:
        """Return the tool with a name or a path. Raises Permanent for an unknown tool."""
        for tool in self.tools.values():
            if name in (tool.name, str(tool.path)):
                return tool
        advice = f"if it may be run: [tools.NAME] with its path in {DEFAULT_PATH}"
        raise Permanent(f"{name[:200]!r} is not a tool of this agent", advice=advice)


def trusted(path: Path) -> Path:
    """Return the path that a path leads to, if only root or the agent's own user could write it.

    Raises ConfigError that names the file or directory.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    _check(path, status)
    check_chain(path)
    return path


def _check(path: Path, status: os.stat_result) -> None:
    quoted = shlex.quote(str(path))
    if status.st_uid not in {0, os.geteuid()}:
        raise ConfigError(f"{path} belongs to uid {status.st_uid}", advice=f"chown root {quoted}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"{path} is writable by others", advice=f"chmod go-w {quoted}")


def load(path: Path) -> Rules:
    """Return the configuration in a file. Raises ConfigError that names the setting."""
    try:
        with open(path, "rb") as file:
            _check(path, os.fstat(file.fileno()))
            check_chain(path)
            text = file.read(SIZE + 1)
        if len(text) > SIZE:
            raise ConfigError(f"{path} has more than {SIZE} bytes")
        value = tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", advice="see docs/agent.md") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    try:
        return _rules(value)
    except (ValueError, TypeError, KeyError, re.error) as error:
        said = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"{path}: {said}", advice="see docs/agent.md") from None


def _rules(value: Mapping[str, Any]) -> Rules:
    _known("", value)
    top = {name: value[name] for name in ("seconds", "idle") if name in value}
    for name, number in top.items():
        _positive(name, number)
    log = value.get("log", "syslog")
    if log != "syslog" and not str(log).startswith("/"):
        raise ValueError(f"log: {log!r} is neither `syslog` nor an absolute path")
    return Rules(
        allow=frozenset(_uid(one) for one in _list("allow", value.get("allow", []))),
        log=str(log),
        skeletons={name: _path(name, p) for name, p in value.get("skeletons", {}).items()},
        roots={str(_path("roots", n)): _root(n, v) for n, v in value.get("roots", {}).items()},
        tools={name: _tool(name, v) for name, v in value.get("tools", {}).items()},
        ways=tuple(_way(name, v) for name, v in value.get("ways", {}).items()) or (Way(),),
        **top,
    )


def _root(name: str, value: Mapping[str, Any]) -> Root:
    _known("roots", value)
    whole = Root()
    first, last = _list("ids", value.get("ids", [whole.first, whole.last]))
    if (
        not all(type(number) is int for number in (first, last))
        or not 0 <= first <= last <= _LAST_ID
    ):
        raise ValueError(f"roots.{name}: ids must be [first, last]")
    depths = frozenset(_list("depths", value.get("depths", [1])))
    if not depths or not all(type(number) is int and number > 0 for number in depths):
        raise ValueError(f"roots.{name}: depths must be numbers from 1")
    bits = int(str(value.get("bits", f"{whole.bits:o}")), 8)
    if not 0 <= bits <= 0o7777:
        raise ValueError(f"roots.{name}: bits must look like '3775'")
    return Root(depths, first, last, bits)


def _way(name: str, value: Mapping[str, Any]) -> Way:
    _known("ways", value)
    admins = _list("admins", value.get("admins", [0]))
    if not admins or not all(type(one) is int for one in admins):
        raise ValueError(f"ways.{name}: admins must be uids")
    return Way(_path("ways", name), frozenset(admins))


def _tool(name: str, value: Mapping[str, Any]) -> Tool:
    _known("tools", value)
    more = {item: value[item] for item in ("seconds", "stdin") if item in value}
    for option, number in more.items():
        _positive(f"tools.{name}: {option}", number)
    environment = dict(value.get("environment", {}))
    if not all(isinstance(item, str) for item in environment.values()):
        raise ValueError(f"tools.{name}: environment must map names to texts")
    shapes, taking = (
        [_shape(name, _list(key, item)) for item in _list(key, given)]
        for key, given in (("arguments", value["arguments"]), ("taking", value.get("taking", [])))
    )
    path = _path(f"tools.{name}", value["path"])
    uses = value.get("uses", "ways")
    if uses not in _USES:
        raise ValueError(f"tools.{name}: uses must be one of {', '.join(_USES)}")
    more |= {"taking": taking, "use": _USES[uses], "environment": environment}
    return Tool(name, path, shapes, **more)


def _shape(name: str, words: Sequence[Any]) -> list[re.Pattern[str] | None]:
    if not all(isinstance(word, str) for word in words) or _MORE in words[:-1] or words == [_MORE]:
        raise ValueError(f"tools.{name}: arguments must be lists of patterns; {_MORE!r} comes last")
    return [None if word == _MORE else re.compile(word, re.ASCII) for word in words]


def _known(place: str, value: Mapping[str, Any]) -> None:
    if not isinstance(value, dict):
        raise TypeError(f"{place} is not a table")
    for name in value:
        if name not in _NAMES[place]:
            raise ValueError(f"{name!r} is unknown; known are {', '.join(sorted(_NAMES[place]))}")


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{name} is not a list")
    return value


def _positive(name: str, value: Any) -> None:
    if type(value) not in (int, float) or value <= 0:
        raise ValueError(f"{name} is not a number above 0")


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, str) or not value.startswith("/") or ".." in Path(value).parts:
        raise ValueError(f"{name}: {value!r} is not an absolute path")
    return Path(value)


def _uid(value: Any) -> int:
    if type(value) is int:
        return value
    try:
        return pwd.getpwnam(str(value)).pw_uid
    except KeyError:
        raise ValueError(f"allow: there is no user {value!r}") from None


class Log:
    """The log of every verb, one line each."""

    def __init__(self, where: str) -> None:
        """Open the log. Raises OSError if that fails."""
        self._file: int | None = None
        if where == "syslog":
            syslog.openlog("provisioner-agent", syslog.LOG_PID, syslog.LOG_AUTHPRIV)
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(where, flags, 0o600)

    def write(
        self, asker: str, question: Mapping[str, Any], ended: str, seconds: float | None = None
    ) -> None:
        """Write a line. Raises Unavailable if it cannot be kept."""
        entry: dict[str, Any] = {"who": asker, "asked": question, "ended": ended}
        if seconds is not None:
            entry["seconds"] = round(seconds, 3)
        if self._file is None:
            syslog.syslog(syslog.LOG_INFO, json.dumps(entry))
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"time": now, "process": os.getpid(), **entry}).encode() + b"\n"
        try:
            if os.write(self._file, line) == len(line):
                return
            reason = "it was cut off"
        except OSError as error:
            reason = str(error.strerror)
        raise Unavailable(
            f"the agent's log: {reason}",
            advice="the agent does nothing that it cannot log: fix the log, then retry",
        )
