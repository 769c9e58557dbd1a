"""An emulator of the Storage Scale GUI: its REST API v2 over HTTPS on loopback.

Promises: the same state as the emulated mm commands, because it runs them for each write, as the
real GUI does, and keeps their output in a job. A job is RUNNING when it is first asked about.
Behavior without a public source is marked `# invented:`.
Leaves out: the web pages, roles, paging of fewer than 1000 objects, and all other endpoints.

Start one with `python -m handlers.emulators.gpfs.gui DIR CERTIFICATE KEY PORT`. User and password
are `provisioner` and `secret`. Its switches are under `gui` in `DIR/faults.json`:
`code: 503` (answers every request so); `stuck: true` (no job ends); `forgets: true` (knows no job,
as after a restart); `polls: 3` (how often a job is RUNNING); `cuts: true` (drops the connection
once a write is done); `refuse: {COMMAND: TEXT}` (fails the job).
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from handlers.emulators.gpfs import rest, store

Ran = tuple[int, str, str]
"""Exit code, standard output, standard error."""

Runs = Callable[[Sequence[str], str], Ran]

LOGIN = ("provisioner", "secret")
VERSION = "5.2.3.0-251"
START = 3_000_000_000_000
"""Numbers of jobs in public logs begin here."""


def run(argv: Sequence[str], stdin: str) -> Ran:
    """Run one emulated command."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


class Refused(Exception):
    """A request that the GUI does not take: an HTTP status, and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Gui:
    """The GUI of one emulated file system. base: the emulator's directory; runs: runs commands."""

    def __init__(self, base: Path | None = None, runs: Runs = run) -> None:
        self.base = str(base or "")
        self.runs = runs
        self.asked: list[str] = []
        self._jobs: dict[int, dict[str, Any]] = {}
        self._next = START
        self._lock = Lock()

    # Requests.

    def answer(self, method: str, target: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Return the status and body of an answer."""
        url = urlsplit(target)
        parts = [unquote(part) for part in url.path.removeprefix("/scalemgmt/v2/").split("/")]
        with self._lock:
            self.asked.append(f"{method} {'/'.join(parts)}")
        switches = store.faults(self.base)
        code = switches.get("gui", {}).get("code", 200)
        try:
            if code != 200:
                raise Refused(code, "The server is busy with other requests or is down.")
            if switches.get("daemon") == "down" and parts[0] == "filesystems":
                # invented: what the GUI answers then.
                raise Refused(500, "GPFS is down on this node.")
            if switches.get("nonroot"):
                raise Refused(403, "Operation not permitted")  # invented: the text
            return self._routed(method, parts, parse_qs(url.query), body)
        except Refused as refused:
            status = {"code": refused.code, "message": refused.message}
            return refused.code, {"status": status}

    def _routed(
        self, method: str, parts: list[str], query: Mapping[str, list[str]], body: Mapping[str, Any]
    ) -> tuple[int, Any]:
        fine = {"status": {"code": 200, "message": "The request finished successfully."}}
        match method, parts:
            case "GET", ["info"]:
                return 200, {**fine, "info": {"serverVersion": VERSION}}
            case "POST", ["refreshTask", "enqueue"]:
                return 200, fine  # invented: the status and body
            case "GET", ["jobs", number]:
                return 200, {**fine, "jobs": [self._job(number)]}
            case "GET", ["filesystems", name, *rest_of]:
                return self._read(name, rest_of, query, fine)
            case _, ["filesystems", name, *rest_of]:
                self._filesystem(name)
                return self._write(method, rest_of, body)
        raise Refused(404, "Not found")

    def _filesystem(self, name: str) -> dict[str, Any]:
        with store.opened(self.base) as state:
            if name != state["filesystem"]:
                raise Refused(400, "Invalid value in 'filesystemName'")
            kept: dict[str, Any] = state
        return kept

    def _read(
        self, name: str, parts: list[str], query: Mapping[str, list[str]], fine: dict[str, Any]
    ) -> tuple[int, Any]:
        state = self._filesystem(name)
        match parts:
            case []:
                return 200, {**fine, "filesystems": [rest.filesystem(self.base, state)]}
            case ["filesets"]:
                listed = state["filesets"].values()
            case ["filesets", fileset]:
                if fileset not in state["filesets"]:
                    raise Refused(400, "Invalid value in 'filesetName'")
                listed = [state["filesets"][fileset]]
            case ["quotas"]:
                return 200, {**fine, "quotas": self._quotas(state, query)}
            case ["acl", path]:
                code, printed, stderr = self._run("mmgetacl", "-k", "nfs4", _absolute(state, path))
                if code:
                    raise Refused(400, stderr)
                return 200, {**fine, "acl": rest.acl(printed)}
            case ["directory", path]:
                return self._accepted("GET", "/".join(parts), [], self._stat(state, path))
            case _:
                raise Refused(404, "Not found")
        return 200, {**fine, "filesets": [rest.fileset(self.base, state, one) for one in listed]}

    def _quotas(self, state: dict[str, Any], query: Mapping[str, list[str]]) -> list[Any]:
        if store.faults(self.base).get("quotas") == "off":
            raise Refused(400, "No quota enabled file system found.")  # invented: the status
        words = query.get("filter", [""])[0].split(",")
        chosen = dict(word.split("=", 1) for word in words if word)
        listed = rest.quotas(self.base, state, chosen.pop("quotaType", "FILESET"))
        return [one for one in listed if all(str(one[n]) == v for n, v in chosen.items())]

    # Writes, each a job.

    def _write(self, method: str, parts: list[str], body: Mapping[str, Any]) -> tuple[int, Any]:
        state = self._filesystem(self._name())
        name, asked = state["filesystem"], "/".join(parts)
        match method, parts:
            case "POST", ["filesets"]:
                return self._accepted(method, asked, *self._create(state, body))
            case "PUT", ["filesets", fileset]:
                argv = ["mmchfileset", name, fileset]
                argv += ["-t", body["comment"]] if "comment" in body else []
                argv += ["--inode-limit", body["maxNumInodes"]] if "maxNumInodes" in body else []
                commands = [argv]
            case "POST", ["filesets", fileset, "link"]:
                commands = [["mmlinkfileset", name, fileset, "-J", body["path"]]]
            case "POST", ["quotas"]:
                commands = [["mmsetquota", f"{name}:{body['objectName']}", *_limits(body)]]
            case "PUT", ["owner", path]:
                owner = f"{body['uid']}:{body['gid']}"
                commands = [["chown", "-h", owner, "--", _absolute(state, path)]]
            case "PUT", ["acl", path]:
                commands = [["mmputacl", _absolute(state, path)]]
                return self._accepted(
                    method, asked, commands, self._results(commands, rest.acl_text(body))
                )
            case _:
                raise Refused(405, "Method not allowed")
        return self._accepted(method, asked, commands, self._results(commands))

    def _name(self) -> str:
        with store.opened(self.base) as state:
            return str(state["filesystem"])

    def _create(
        self, state: Mapping[str, Any], body: Mapping[str, Any]
    ) -> tuple[list[list[str]], Ran]:
        """The GUI makes and links a fileset, and checks its name before."""
        name, fileset = state["filesystem"], body["filesetName"]
        if fileset in state["filesets"]:
            words = f'EFSSP1102C CLI: The value "{fileset}" specified for "filesetName" is already '
            return [], (10, "", words + "in use.\n")
        argv = ["mmcrfileset", name, fileset, "-t", body.get("comment", "")]
        if body["inodeSpace"] == "new":
            limit = body.get("maxNumInodes", "1M:50K")
            argv += ["--inode-space", "new", "--inode-limit", limit]
        elif body["inodeSpace"] != "root":
            argv += ["--inode-space", body["inodeSpace"]]
        argv += ["--allow-permission-change", body["permissionChangeMode"]]
        commands = [argv, ["mmlinkfileset", name, fileset, "-J", body["path"]]]
        return commands, self._results(commands)

    def _stat(self, state: Mapping[str, Any], path: str) -> Ran:
        # invented: that the mount point itself (`%2F`) has an answer, as it has for `owner`.
        absolute = _absolute(state, path)
        code, printed, _ = self._run("stat", "--printf", "%u %g %f %i", "--", absolute)
        if code:
            return (
                6,
                "",
                f'EFSSG0264C The path "{absolute}" does not exist.\n',
            )  # invented: the rest
        return 0, rest.stat_text(absolute, printed), ""

    def _results(self, commands: Sequence[Sequence[str]], stdin: str = "") -> Ran:
        """Run commands until one fails."""
        printed = ""
        for command in commands:
            code, stdout, stderr = self._run(*command, stdin=stdin)
            printed += stdout
            if code:
                return code, printed, stderr
        return 0, printed, ""

    def _run(self, command: str, *args: str, stdin: str = "") -> Ran:
        refused = store.faults(self.base).get("gui", {}).get("refuse", {})
        if command in refused:
            return 1, "", f"{refused[command]}\n"
        return self.runs([f"{self.base}/bin/{command}", *args], stdin)

    # Jobs.

    def _accepted(
        self, method: str, asked: str, commands: Sequence[Sequence[str]], ran: Ran
    ) -> tuple[int, Any]:
        code, stdout, stderr = ran
        with self._lock:
            number = self._next
            self._next += 1
            self._jobs[number] = {
                "jobId": number,
                "status": "FAILED" if code else "COMPLETED",
                "request": {"type": method, "url": f"/scalemgmt/v2/filesystems/{asked}"},
                "result": {
                    "progress": [],
                    "commands": [" ".join(f"'{word}'" for word in one) for one in commands],
                    "stdout": [stdout] if stdout else [],
                    "stderr": stderr.splitlines(),
                    "exitCode": code,
                },
                "asked": 0,
            }
        if store.faults(self.base).get("gui", {}).get("cuts") and method != "GET":
            raise ConnectionAbortedError
        status = {"code": 202, "message": "The request was accepted for processing."}
        return 202, {"status": status, "jobs": [_running(self._jobs[number])]}

    def _job(self, number: str) -> dict[str, Any]:
        switches = store.faults(self.base).get("gui", {})
        if switches.get("forgets"):
            self._jobs = {}
        job = self._jobs.get(int(number)) if number.isdecimal() else None
        if job is None:
            raise Refused(400, "Invalid value in 'jobId'")
        job["asked"] += 1
        if switches.get("stuck") or job["asked"] <= switches.get("polls", 1):
            return _running(job)
        return {name: value for name, value in job.items() if name != "asked"}


def _running(job: Mapping[str, Any]) -> dict[str, Any]:
    waits = ["EFSSA0194I Waiting for concurrent operation to complete."]
    result = {"progress": [], "commands": [], "stdout": waits, "stderr": []}
    kept = {name: job[name] for name in ("jobId", "request")}
    return {**kept, "status": "RUNNING", "result": result}


def _limits(body: Mapping[str, str]) -> list[str]:
    """Bytes without a suffix, as the GUI passes them on."""
    argv = []
    if "blockHardLimit" in body:
        argv += ["--block", f"{body['blockSoftLimit']}:{body['blockHardLimit']}"]
    if "filesHardLimit" in body:
        argv += ["--files", f"{body['filesSoftLimit']}:{body['filesHardLimit']}"]
    return argv


def _absolute(state: Mapping[str, Any], path: str) -> str:
    return f"{state['mount']}/{path.strip('/')}".rstrip("/")


class Server:
    """Serves a Gui over HTTPS on loopback, in a thread. gui: may be replaced by another one."""

    def __init__(self, gui: Gui, certificate: Path, key: Path, port: int = 0) -> None:
        self.gui = gui
        serves = self
        token = base64.b64encode(":".join(LOGIN).encode()).decode()

        class Handler(BaseHTTPRequestHandler):
            timeout = 60

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                if self.headers.get("Authorization") == f"Basic {token}":
                    code, answer = serves.gui.answer(self.command, self.path, body)
                else:
                    code, answer = 401, {}
                content = json.dumps(answer).encode() if code != 401 else b"<html>401</html>"
                self.send_response(code)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Print nothing: a test cut the connection."""

        self._server = Quiet(("127.0.0.1", port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def main(args: Sequence[str]) -> int:
    """Serve until a signal ends it; print the URL."""
    if len(args) != 4 or not re.fullmatch(r"\d{1,5}", args[3]):
        sys.stderr.write("usage: python -m handlers.emulators.gpfs.gui DIR CERTIFICATE KEY PORT\n")
        return 2
    server = Server(Gui(Path(args[0])), Path(args[1]), Path(args[2]), int(args[3]))
    print(server.url, flush=True)
    server._thread.join()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
