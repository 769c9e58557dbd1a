"""The files in staging that a row of the outbox becomes.

Promises: a request with too many users for its body lists them in a file beside it. Nobody can
guess that file's name, since any local user may put files into staging. The same row always makes
the same files, so an interrupted write is repeated exactly. Leaves out: which rows are written, and
when (`outbox`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from provisioner.spool.submission import LIMIT
from provisioner.spool.submit import drop, drop_companion


@dataclass(frozen=True, slots=True)
class Files:
    """A request's body, and its list of users; None: the body contains the users."""

    body: bytes
    users: bytes | None = None


def files_of(listed: str, text: str) -> Files:
    """Return the files of a row.

    listed: the file name of the list of users, if it needs one; text: the request in JSON, with its
    users.
    """
    body = text.encode()
    if len(body) <= LIMIT:
        return Files(body)
    document = json.loads(text)
    part = document["action"].partition(".")[0]
    whole = document[part]
    if "users" not in whole:
        return Files(body)
    users = "".join(f"{user}\n" for user in whole["users"]).encode()
    named = {
        "file": listed,
        "size": len(users),
        "sha256": hashlib.sha256(users).hexdigest(),
    }
    rest = {key: value for key, value in whole.items() if key != "users"}
    document[part] = {**rest, "users_file": named}
    return Files(json.dumps(document, ensure_ascii=False).encode(), users)


def too_large(listed: str, text: str) -> bool:
    """Return True if a request is too large for staging even without its users."""
    return len(files_of(listed, text).body) > LIMIT


def put(staging: Path, name: str, listed: str, text: str) -> None:
    """Write the files of a row to staging, the list of users first.

    name: the request's file name, without an extension; listed, text: as for `files_of`. Raises
    ConfigError or OSError when it cannot write them.
    """
    files = files_of(listed, text)
    if files.users is not None:
        got = drop_companion(staging, listed, files.users)
        if got != listed:
            # The same list is there already: a process was killed before it wrote the request.
            (staging / got).unlink(missing_ok=True)
    drop(staging, f"{name}.json", files.body)
