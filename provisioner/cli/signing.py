"""Signs requests, for a site that accepts signed requests.

Promises: ssh-keygen signs with the operator's own key, and asks for a passphrase or uses ssh-agent
as usual. A signed request without `expires` expires within a day, so that a copy is useless later.
If signatures are required and there is no key, nothing is dropped. Leaves out: whom a key belongs
to (`signature`).
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from provisioner.contract import ConfigError, Refused
from provisioner.request.documents import InvalidDocument
from provisioner.request.request import Request, parse_request
from provisioner.spool.submission import NAMESPACE

LASTS = 86400
"""Seconds until a signed request expires that does not contain `expires`."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it is dropped. signature: of `body`, for the file beside it."""

    body: bytes
    signature: bytes


def sign(body: bytes, key: str) -> Signed:
    """Add `expires` to a request if it has none, and return it with its signature.

    Raises ConfigError if ssh-keygen cannot sign with the key, Refused if somebody has to add
    `expires` by hand.
    """
    body = ending(body, int(time.time()) + LASTS)
    words = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(Path(key).expanduser())]
    # ssh-keygen needs the operator's environment and terminal: ssh-agent's socket and prompts.
    try:
        done = subprocess.run(words, input=body, capture_output=True, check=False)
    except OSError as error:
        raise ConfigError(f"ssh-keygen: {error.strerror}", advice="install OpenSSH") from None
    if done.returncode != 0:
        message = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise ConfigError(
            f"cannot sign with {key}: {message}",
            advice="name your private key, or the public half of one that `ssh-add -L` lists",
        )
    return Signed(body, done.stdout)


def needed() -> Refused:
    """Return the fault that says what to do without a key."""
    return Refused(
        "this site requires signed requests, and you gave no key",
        advice="--sign KEY, or PROVISIONER_SIGN=KEY: your private key, or the public half of one "
        "that ssh-agent has; it must be in the site's list of signers",
    )


def ending(body: bytes, when: int) -> bytes:
    """Return a request with `expires`; it changes nothing else.

    when: seconds since the epoch, for a request without `expires`. A text that is not a valid
    request stays unchanged, because the service explains what is wrong. Raises Refused if the text
    has no place for another line.
    """
    try:
        request = parse_request(body)
    except InvalidDocument:
        return body
    if request.expires is not None:
        return body
    expires = datetime.fromtimestamp(when, UTC)
    text = expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    wanted = replace(request, expires=expires)
    line = b"" if body.endswith(b"\n") else b"\n"
    for longer in (
        body + line + f"expires: {text}\n".encode(),
        body.replace(b"{", f'{{"expires": "{text}", '.encode(), 1),
    ):
        if _says(longer, wanted):
            return longer
    raise Refused(
        "a signed request needs `expires`, and it could not be added here",
        advice=f"add it by hand: expires: {text}",
    )


def _says(body: bytes, wanted: Request) -> bool:
    try:
        return parse_request(body) == wanted
    except InvalidDocument:
        return False
