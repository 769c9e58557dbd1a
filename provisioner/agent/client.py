"""An agent with rights that the service lacks: homes and tools, on this host or another.

Promises: the verbs of a host and `run`, answered by `provisioner agent`. Questions are numbered: a
line that is not the answer to this very question, such as a greeting of a remote shell, ends the
connection. A connection that breaks during a write is Unknown, during a read Unavailable; the wait
for each answer is bounded. One connection serves one thread at a time, and stays open for the next.
Leaves out: what may be done, which the agent's own configuration says.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from pydantic import TypeAdapter

from provisioner.contract import (
    PATH,
    Completed,
    Conflict,
    DirectoryState,
    Fault,
    Owner,
    Permanent,
    Run,
    Transient,
    Unavailable,
    Unknown,
    ask_leave,
)
from provisioner.system import process

WORD = "agent"
"""First word of a program that an agent runs: `agent` for the agent of `host`, `agent:NAME`."""

SECONDS = 120.0
"""Longest wait for an answer about directories; longer than the agent's own limit."""

_GRACE = 15.0
_FRESH = 30.0
"""Seconds for which an idle connection may be reused; the agent keeps it open for longer."""

_ANSWER = 256 << 20
_FAULTS: Mapping[str, type[Fault]] = {
    kind.__name__: kind for kind in (Conflict, Permanent, Transient, Unavailable, Unknown)
}


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Reply:
    """One line of the agent. id: None if it read no question before it refused."""

    ok: bool
    id: int | None = None
    value: Any = None
    fault: str = ""
    message: str = ""
    advice: str = ""
    errno: int | None = None


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a tool ended."""

    returncode: int
    stdout: str
    stderr: str
    timed_out: bool


@dataclass(frozen=True, slots=True)
class Greeting:
    """Who an agent is, and the names of what it serves."""

    uid: int
    roots: list[str]
    tools: list[str]
    skeletons: list[str]


_REPLY = TypeAdapter(_Reply)
_NOTHING: TypeAdapter[None] = TypeAdapter(None)
_DIRECTORY = TypeAdapter(DirectoryState)
_NAMES = TypeAdapter(list[str])
_ENDED = TypeAdapter(_Ended)
_GREETING = TypeAdapter(Greeting)


def build(argument: str) -> AgentHost:
    """Build a host from an agent's address: `/SOCKET`, or the words of a command."""
    return AgentHost(Agent(argument))


class Agent:
    """One agent. address: `/SOCKET`, or a command's words as a shell would quote them."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()
        self._numbers = count(1)

    def ask(self, verb: str, kind: TypeAdapter[T], wait: float = SECONDS, /, **fields: object) -> T:
        """Ask, and return the answer, which is of a kind, waiting at most `wait` seconds.

        Raises the fault that the agent names, OSError if its system refused, Unavailable if it does
        not answer; Unknown if it does not answer a change.
        """
        number = next(self._numbers)
        line = json.dumps({"id": number, "verb": verb, **fields}).encode() + b"\n"
        unanswered = Unavailable if verb in ("hello", "observe", "children") else Unknown
        connection = self._take()
        answer = b""
        try:
            if unanswered is Unknown:
                ask_leave()
            answer = connection.ask(line, wait)
            reply = _reply(answer, number)
            value = kind.validate_json(json.dumps(reply.value), strict=True) if reply.ok else None
        except OSError as error:
            ending = connection.close()
            words = f"the agent {self.address} gave no answer to {verb}: {error}"
            raise unanswered(f"{words}; {ending}" if ending else words, advice=_ADVICE) from None
        except ValueError:
            connection.close()
            printed = answer[:200].decode("utf-8", "backslashreplace")
            words = f"{self.address} did not answer as an agent: it printed {printed!r}"
            raise unanswered(words, advice=_STRANGE) from None
        except BaseException:
            connection.close()
            raise
        if reply.id is None:
            connection.close()
            raise unanswered(reply.message, advice=reply.advice or _ADVICE)
        with self._lock:
            self._idle.append(connection)
        if not reply.ok:
            raise _fault(reply)
        return cast(T, value)

    def hello(self) -> Greeting:
        """Ask who it is; raises as `ask`."""
        return self.ask("hello", _GREETING)

    def close(self) -> None:
        """Close all connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> _Connection:
        while True:
            with self._lock:
                if not self._idle:
                    break
                connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        try:
            return _Connection(self.address)
        except OSError as error:
            said = f"the agent {self.address} cannot be reached: {error.strerror}"
            raise Unavailable(said, advice=_ADVICE) from None


_ADVICE = "run `provisioner doctor`, read the agent's own log, and see docs/agent.md"
_STRANGE = (
    "by ssh the agent alone may print: `ssh HOST true` must print nothing, else silence the remote "
    "shell's start files; see docs/agent.md"
)


class _Connection:
    def __init__(self, address: str) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._used = time.monotonic()
        self._kept = bytearray()
        if address.startswith("/") and " " not in address:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.settimeout(_GRACE)
                self._socket.connect(address)
            except OSError:
                self._socket.close()
                raise
            return
        self._socket, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        try:
            self._process = subprocess.Popen(
                shlex.split(address),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._stderr,
                env={"PATH": PATH, "LANG": "C", "LC_ALL": "C"},
                start_new_session=True,
            )
        except OSError:
            self.close()
            raise
        finally:
            theirs.close()

    @property
    def usable(self) -> bool:
        """Return True if the other end waits for a question: anything that it says unasked is its
        end."""
        if self._kept or time.monotonic() - self._used > _FRESH:
            return False
        self._socket.settimeout(0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def ask(self, line: bytes, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        self._socket.settimeout(seconds)
        with contextlib.suppress(BrokenPipeError):  # it gave a reason, and ended
            self._socket.sendall(line)
        while (end := self._kept.find(b"\n")) < 0:
            rest = deadline - time.monotonic()
            if rest <= 0 or len(self._kept) > _ANSWER:
                raise TimeoutError(f"none within {seconds:g} s")
            self._socket.settimeout(rest)
            part = self._socket.recv(1 << 16)
            if not part:
                raise ConnectionError("it ended")
            self._kept += part
        answer = bytes(self._kept[:end])
        del self._kept[: end + 1]
        self._used = time.monotonic()
        return answer

    def close(self) -> str:
        """Close the connection, and return the last output of the agent's command."""
        self._socket.close()
        if self._process is not None:
            # It ends by itself, because there is nothing more to read.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                self._process.send_signal(signal.SIGTERM)
        if self._stderr is None:
            return ""
        with self._stderr as file:
            file.seek(0)
            return " ".join(file.read(4096).decode("utf-8", "backslashreplace").split())[:500]


def _reply(answer: bytes, number: int) -> _Reply:
    """Return the reply in a line. Raises ValueError if it is not the answer to a question.

    number: the question's. An agent that refuses to serve says so before it reads any question.
    """
    reply = _REPLY.validate_json(answer, strict=True)
    if reply.id != number and (reply.ok or reply.id is not None or not reply.message):
        raise ValueError("the answer is for another question")
    return reply


def _fault(reply: _Reply) -> Exception:
    """Return what the agent says went wrong."""
    if reply.fault == "OSError":
        return OSError(reply.errno or 0, reply.message)
    return _FAULTS.get(reply.fault, Unavailable)(reply.message, advice=reply.advice)


class AgentHost:
    """The verbs of a host, by an agent."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent

    def observe(self, root: Path, path: str, *, mounted: bool = False) -> DirectoryState:
        """Return what is at a path."""
        return self.agent.ask("observe", _DIRECTORY, root=str(root), path=path, mounted=mounted)

    def make(
        self,
        root: Path,
        path: str,
        *,
        owner: Owner,
        mode: int,
        skeleton: Path | None,
        mounted: bool = False,
    ) -> None:
        """Make a home; the agent finds the skeleton by name, in its own copy."""
        name = skeleton.name if skeleton is not None else None
        given = {**owner._asdict(), "mode": mode, "skeleton": name, "mounted": mounted}
        self.agent.ask("make", _NOTHING, root=str(root), path=path, **given)

    def set_owner(self, root: Path, path: str, *, owner: Owner) -> None:
        """Give a directory to an owner and a group."""
        self.agent.ask("set_owner", _NOTHING, root=str(root), path=path, **owner._asdict())

    def set_mode(self, root: Path, path: str, *, mode: int) -> None:
        """Set a directory's permission bits."""
        self.agent.ask("set_mode", _NOTHING, root=str(root), path=path, mode=mode)

    def set_acl(self, root: Path, path: str, *, acl: str) -> None:
        """Set a directory's POSIX ACL."""
        self.agent.ask("set_acl", _NOTHING, root=str(root), path=path, acl=acl)

    def children(self, root: Path, *, mounted: bool = False) -> Sequence[str]:
        """Return the directories in the root, except hidden ones."""
        return self.agent.ask("children", _NAMES, root=str(root), mounted=mounted)


def runner(agents: Mapping[str, Agent]) -> Run:
    """Return a function that runs programs; an agent runs those with the first word `agent` or
    `agent:NAME`.

    agents: by that word.
    """

    def run(
        argv: Sequence[str],
        *,
        stdin: str = "",
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        word = argv[0]
        if word != WORD and not word.startswith(f"{WORD}:"):
            ask_leave()  # also before one that only reads, which cannot be told here
            return process.run(argv, stdin=stdin, timeout=timeout, env=env)
        if word not in agents:
            known = ", ".join(sorted(agents)) or "none"
            advice = f"check `host` and `agents` in the configuration; configured are: {known}"
            raise Unavailable(f"there is no {word}", advice=advice)
        if env:
            raise Permanent(
                f"{word} takes no environment from the service: {', '.join(env)}",
                advice="set `environment` of the tool in the agent's configuration instead",
            )
        given = {"tool": argv[1], "arguments": list(argv[2:]), "stdin": stdin}
        # The agent's own limit ends the program; this one ends the wait.
        ended = agents[word].ask("run", _ENDED, timeout + _GRACE, seconds=timeout, **given)
        return Completed(tuple(argv), **asdict(ended))

    return run
