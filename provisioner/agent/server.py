"""The agent: actions that need root, as a few fixed verbs, requested in lines of JSON.

Promises: one answer to each line, whatever the line. The agent does nothing outside the roots, to
ids outside their ranges, or by a tool whose arguments the configuration does not list. Every verb
is in the log, with the caller, or is not done. Everything ends within its time limit, with all that
it started. Leaves out: deciding, and trusting the caller. Only root may write its configuration.

A question: `{"id": 7, "verb": "observe", "root": "/home", "path": "jdoe"}`. The answer to it:
`{"id": 7, "ok": true, "value": ...}`, or with `"ok": false, "fault": "Conflict", "message": ...`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from provisioner.agent.rules import DEFAULT_PATH, Log, Rules, Tool, load, trusted
from provisioner.agent.ways import Call, Use, Way, held
from provisioner.contract import (
    Completed,
    ConfigError,
    Fault,
    Owner,
    Permanent,
    Unavailable,
    Unknown,
    closed_home,
)
from provisioner.system import process
from provisioner.system.directories import RealHost

LINE = 1 << 20
"""The most bytes of a question."""

_CHUNK = 1 << 16
_TEXT, _NUMBER, _WORDS, _MAYBE, _FLAG = "text", "number", "words", "text or null", "flag"
_SECONDS = "seconds"
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "hello": {},
    "observe": {"root": _TEXT, "path": _TEXT, "mounted": _FLAG},
    "children": {"root": _TEXT, "mounted": _FLAG},
    "make": {
        "root": _TEXT,
        "path": _TEXT,
        "uid": _NUMBER,
        "gid": _NUMBER,
        "mode": _NUMBER,
        "skeleton": _MAYBE,
        "mounted": _FLAG,
    },
    "set_owner": {"root": _TEXT, "path": _TEXT, "uid": _NUMBER, "gid": _NUMBER},
    "set_mode": {"root": _TEXT, "path": _TEXT, "mode": _NUMBER},
    "set_acl": {"root": _TEXT, "path": _TEXT, "acl": _TEXT},
    "run": {"tool": _TEXT, "arguments": _WORDS, "stdin": _TEXT, "seconds": _SECONDS},
}
_FITS: Mapping[str, Callable[[Any], bool]] = {
    _TEXT: lambda value: isinstance(value, str),
    _NUMBER: lambda value: type(value) is int,
    _WORDS: lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    _MAYBE: lambda value: value is None or isinstance(value, str),
    _FLAG: lambda value: type(value) is bool,
    _SECONDS: lambda value: type(value) in (int, float) and 0 < value < 1e6,
}
READS = {"hello", "observe", "children"}


class Agent:
    """Answers questions. caller: the name of the caller in the log."""

    def __init__(self, rules: Rules, log: Log, caller: str) -> None:
        self._rules, self._log, self._caller = rules, log, caller

    def answer(self, line: bytes) -> bytes:
        """Return the answer to one question; a wrong question never makes it raise."""
        began = time.monotonic()
        question: Mapping[str, Any] = {}
        try:
            try:
                question = _question(line)
                if question["verb"] not in READS:
                    self._log.write(self._caller, _short(question), "begins")
                reply: dict[str, Any] = {"ok": True, "value": self._do(question)}
            except _TooLong:
                raise _late(question.get("verb", "")) from None
            except RecursionError:
                raise Permanent("the question is nested too deeply") from None
        except Fault as fault:
            kind, message = type(fault).__name__, fault.message
            reply = {"ok": False, "fault": kind, "message": message, "advice": fault.advice}
        except OSError as error:
            reply = {"ok": False, "fault": "OSError", "errno": error.errno}
            reply["message"] = error.strerror or str(error)
        except Exception as error:
            traceback.print_exc()
            reply = {"ok": False, "fault": "Permanent", "message": f"the agent failed: {error!r}"}
            reply["advice"] = "read its log and the service manager's"
        ended = "ok" if reply["ok"] else f"{reply['fault']}: {reply['message'][:300]}"
        seconds = time.monotonic() - began
        try:
            self._log.write(self._caller, _short(question), ended, seconds)
        except Fault as fault:  # the log already has what was begun
            print(fault.message, file=sys.stderr)
            if question.get("verb") in READS:
                reply = {"ok": False, "fault": "Unavailable", "message": fault.message}
        reply |= {"id": question["id"]} if "id" in question else {}
        return json.dumps(reply).encode()

    def _do(self, question: Mapping[str, Any]) -> Any:
        verb = question["verb"]
        if verb == "hello":
            rules = self._rules
            known = {"roots": sorted(rules.roots), "tools": sorted(rules.tools)}
            return {"uid": os.geteuid(), **known, "skeletons": sorted(rules.skeletons)}
        if verb == "run":
            return self._run(question)
        with _limit(self._rules.seconds):
            return self._on_directories(verb, question)

    def _on_directories(self, verb: str, question: Mapping[str, Any]) -> Any:
        rule = self._rules.root(question["root"])
        host, root = _Guarded(rule.first, rule.last), Path(question["root"])
        if verb == "children":
            return host.children(root, mounted=question["mounted"])
        path = rule.path(question["path"])
        if "uid" in question:
            rule.check_ids(question["uid"], question["gid"], closing=verb == "set_owner")
        if "mode" in question:
            rule.check_mode(question["mode"])
        if verb == "observe":
            return asdict(host.observe(root, path, mounted=question["mounted"]))
        if verb == "make":
            host.make(
                root,
                path,
                owner=Owner(question["uid"], question["gid"]),
                mode=question["mode"],
                skeleton=self._rules.skeleton(question["skeleton"]),
                mounted=question["mounted"],
            )
        elif verb == "set_owner":
            host.set_owner(root, path, owner=Owner(question["uid"], question["gid"]))
        elif verb == "set_mode":
            host.set_mode(root, path, mode=question["mode"])
        else:
            host.set_acl(root, path, acl=rule.check_acl(question["acl"]))
        return None

    def _run(self, question: Mapping[str, Any]) -> Any:
        tool: Tool = self._rules.tool(question["tool"])
        use = tool.check(question["arguments"], question["stdin"])
        trusted(tool.path)
        until = time.monotonic() + min(tool.seconds, question["seconds"])
        with _given(question["arguments"], self._rules.ways, use) as calls:
            done = [_call(tool, call, question["stdin"], until) for call in calls]
        told = asdict(_joined(done))
        del told["argv"]
        return told


def _given(
    words: Sequence[str], ways: Sequence[Way], use: Use | None
) -> AbstractContextManager[Sequence[Call]]:
    """Hold the ways of a tool's paths while it runs; a tool that changes nothing gets paths
    unchecked."""
    return nullcontext([Call(words)]) if use is None else held(words, ways, use)


def _call(tool: Tool, call: Call, stdin: str, until: float) -> Completed:
    argv = [str(tool.path), *call.words]
    rest = until - time.monotonic()
    if rest <= 0:
        return Completed(tuple(argv), -signal.SIGKILL, "", "", timed_out=True)
    done = process.run(
        argv, stdin=stdin, timeout=rest, env=tool.environment, directory=call.directory
    )
    if call.path and done.stderr:
        return replace(done, stderr=f"{call.path}: {done.stderr}")
    return done


def _joined(done: Sequence[Completed]) -> Completed:
    """Return one ending made of several: the first failure counts, and all output is kept."""
    failed = [call for call in done if call.returncode]
    return replace(
        (failed or done)[0],
        stdout="".join(call.stdout for call in done),
        stderr="".join(call.stderr for call in done),
        timed_out=any(call.timed_out for call in done),
    )


class _Guarded(RealHost):
    """This host, without directories of owners who have no homes here: root's and the system's."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last

    def _permit(self, opened: int) -> None:
        status = os.fstat(opened)
        mode = stat.S_IMODE(status.st_mode)
        # A closed home belongs to root, keeps its group, and has a mark that only root can set.
        owner = status.st_uid or status.st_gid
        if not self._first <= owner <= self._last:
            raise Permanent(
                f"the directory belongs to {status.st_uid}:{status.st_gid}, who may have no home "
                "here",
                advice="find out whose it is; check `ids` of the root in the agent's configuration",
            )
        if not status.st_uid and self._first > 0 and not closed_home(mode):
            raise Permanent(
                f"the directory is root's, mode {mode:04o}, and has no mark of a closed home",
                advice="find out what it is; if it is a closed home from before the mark existed: "
                "chmod u=rwx,go=,+t DIR, and `provisioner retry`",
            )


def _question(line: bytes) -> Mapping[str, Any]:
    """Return a question, read from a line. Raises Permanent if it is not one."""
    if len(line) > LINE:
        raise Permanent(f"a question has at most {LINE} bytes")
    try:
        question = json.loads(line.decode("utf-8"), object_pairs_hook=_once)
    except ValueError as error:
        raise Permanent(f"the question is not JSON: {str(error)[:200]}") from None
    if not isinstance(question, dict) or not isinstance(question.get("verb"), str):
        raise Permanent('a question is an object with a "verb"')
    fields = _FIELDS.get(question["verb"])
    if fields is None:
        raise Permanent(f"{question['verb'][:40]!r} is not a verb: {', '.join(_FIELDS)}")
    if set(question) - {"id"} != {"verb", *fields}:
        raise Permanent(f"{question['verb']} takes exactly: {', '.join(fields) or 'nothing'}")
    if type(question.get("id", 0)) is not int:
        raise Permanent("id is not a number")
    for name, kind in fields.items():
        if not _FITS[kind](question[name]):
            raise Permanent(f"{question['verb']}: {name} is not a {kind}")
    return question


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a key appears twice")
    return mapping


def _short(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a question that the log keeps: all except input and long values."""
    kept = {name: value for name, value in asked.items() if name != "stdin"}
    text = json.dumps(kept)
    if len(text) <= 2000:
        return kept
    # Verb and object come first, in whatever order the question had them.
    heads = [name for name in ("verb", "tool", "root", "path") if name in kept]
    head: dict[str, Any] = {name: str(kept.pop(name))[:300] for name in heads}
    return {**head, "cut": json.dumps(kept)[:2000]}


# Time limits.


class _TooLong(Exception):
    """A verb has used up its time."""


def _ring(number: int, frame: FrameType | None) -> NoReturn:
    raise _TooLong


def _late(verb: str) -> Fault:
    kind = Unavailable if verb in READS else Unknown
    return kind(f"{verb} took too long", advice="check whether the file system hangs")


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# The program.


def serve(agent: Agent, source: int, sink: int, idle: float) -> None:
    """Answer each line of the source until it ends, or until none came for `idle` seconds.

    A line without an end was cut off on its way, and the agent ignores it.
    """
    for line in _lines(source, idle):
        rest = memoryview(agent.answer(line) + b"\n")
        while rest:
            rest = rest[os.write(sink, rest) :]


def _lines(source: int, idle: float) -> Iterator[bytes]:
    """Yield complete lines; of one that is too long, its beginning, once."""
    kept, cut = bytearray(), False
    ready = select.poll()  # unlike select(2), whatever the descriptor's number
    ready.register(source, select.POLLIN)
    while ready.poll(idle * 1000):
        part = os.read(source, _CHUNK)
        if not part:
            return
        # Only the new part is looked through: a line may come in very many.
        first, *more = part.split(b"\n")
        kept += b"" if cut else first
        for line in more:
            if not cut:
                yield bytes(kept)
            kept, cut = bytearray(line), False
        if len(kept) > LINE:
            yield bytes(kept)
            kept, cut = bytearray(), True


def asker(rules: Rules, source: int) -> str:
    """Return who asks: the other end of a socket, who ran sudo, or who started this program.

    Raises Permanent if they may not ask.
    """
    allowed = {0, os.geteuid(), *rules.allow}
    caller, uids = f"uid {os.getuid()}", []
    try:
        end = socket.socket(fileno=os.dup(source))
    except OSError:
        pass
    else:
        with end:
            if end.family == socket.AF_UNIX:
                raw = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                pid, uid, _ = struct.unpack("iII", raw)
                uids.append(uid)
                caller = f"uid {uid}, process {pid}"
            else:
                raise Permanent("the agent does not listen on the network: use ssh")
    sudo = os.environ.get("SUDO_UID", "")
    if sudo:
        uids.append(int(sudo) if sudo.isdigit() else -1)
        caller += f", by sudo as uid {sudo}"
    if "SSH_CONNECTION" in os.environ:
        caller += f", by ssh from {os.environ['SSH_CONNECTION']}"
    for uid in uids:
        if uid not in allowed:
            advice = "check `allow` in the agent's configuration"
            raise Permanent(f"uid {uid} may not ask", advice=advice)
    return caller


def main() -> None:
    """Run the program: questions on standard input, answers on standard output."""
    arguments = sys.argv[1:]
    path = DEFAULT_PATH
    if len(arguments) == 2 and arguments[0] == "--config" and "SUDO_UID" not in os.environ:
        path = Path(arguments[1])
    elif arguments:
        sys.exit("usage: provisioner-agent [--config FILE]; by sudo: without arguments")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        rules = load(path)
        log = Log(rules.log)
        caller = asker(rules, 0)
    except (ConfigError, Permanent, OSError) as error:
        # The caller also gets the message: over a socket, nobody sees standard error.
        advice = getattr(error, "advice", "")
        fault = {"ok": False, "fault": "Unavailable", "message": str(error), "advice": advice}
        print(json.dumps(fault), flush=True)
        sys.exit(f"provisioner-agent: {error}" + (f"\nwhat to do: {advice}" if advice else ""))
    os.umask(0o077)
    os.chdir("/")
    with suppress(BrokenPipeError, ConnectionResetError):  # the caller is gone
        serve(Agent(rules, log, caller), 0, 1, rules.idle)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
