#!/usr/bin/env python3
"""A sample program for the `command` handler: objects are JSON files in a directory.

Run by the service as `sample.py DIRECTORY observe|plan|apply`, with one JSON document on standard
input and one on standard output; docs/command-handler.md explains the protocol by this program.
Copy it, and put your own backend where the files are. It needs nothing but Python.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

Json = dict[str, Any]

FIELDS = ("title", "owner")
"""What a request may say of an object. What it does not say is left as it is."""


class Refused(Exception):
    """An error to answer with: its type decides what the service does."""

    def __init__(self, kind: str, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.answer = {"type": kind, "message": message, "advice": advice}


def observe(base: Path, question: Json) -> Json:
    """Answer for every key, and only look."""
    return {"states": {key: state_of(base, key) for key in question["keys"]}}


def plan(base: Path, question: Json) -> Json:
    """Compare what is wanted with what was observed, and only think: nothing is written or read."""
    want, state = question["want"], question["state"]
    is_open = want["present"] and not want["suspended"]
    if not state["present"]:
        if not is_open:
            return {"changes": []}
        fields = {name: want[name] for name in FIELDS if want.get(name) is not None}
        text = f"create {want['name']}"
        return {"changes": [{"verb": "create", "text": text, "phase": 0, "data": fields}]}
    changes = []
    for name in FIELDS:
        if is_open and want.get(name) is not None and want[name] != state[name]:
            text = f"{name} {state[name]!r} -> {want[name]!r}"
            changes.append({"verb": "set", "text": text, "phase": 1, "data": {name: want[name]}})
    if state["open"] != is_open:
        verb = "open" if is_open else "close"
        changes.append({"verb": verb, "text": verb, "phase": 2, "data": {"open": is_open}})
    return {"changes": changes}


def apply(base: Path, question: Json) -> Json:
    """Write. Each change may be written again: the service may have died before it looked."""
    for change in question["changes"]:
        path = file_of(base, change["key"])
        known = read(path) or {**dict.fromkeys(FIELDS), "open": True}
        write(path, {**known, **change["data"]})
    return {}


def state_of(base: Path, key: str) -> Json:
    """Return an object's state; `present` is the only field that the service requires."""
    stored = read(file_of(base, key))
    if stored is None:
        return {"present": False}
    return {"present": True, "path": str(file_of(base, key)), **stored}


def file_of(base: Path, key: str) -> Path:
    """Return an object's file. A key is INSTANCE/KIND/NAME, each part of plain characters."""
    _, kind, name = key.split("/")
    return base / f"{kind}-{name}.json"


def read(path: Path) -> Json | None:
    """Read a file that may not be there."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except ValueError:
        raise Refused("Conflict", f"{path} is not ours: it holds no JSON", "look at it") from None


def write(path: Path, content: Json) -> None:
    """Replace a file by one that is whole."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content), encoding="utf-8")
    new.replace(path)


def main() -> int:
    """Answer one question. An error is answered, too; then the exit code says nothing more."""
    base, verb = Path(sys.argv[1]), sys.argv[2]
    verbs = {"observe": observe, "plan": plan, "apply": apply}
    try:
        if verb not in verbs:
            raise Refused("Permanent", f"there is no {verb}")
        if not base.is_dir():
            raise Refused("Unavailable", f"{base} is not there", f"mkdir {base}")
        answer = verbs[verb](base, json.load(sys.stdin))
    except Refused as refused:
        answer = {"error": refused.answer}
    except OSError as error:
        answer = {"error": {"type": "Transient", "message": str(error)}}
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
