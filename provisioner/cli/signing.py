"""Signing what is dropped, where a site takes signed requests.

Promises: a request is signed by the operator's own key, by ssh-keygen, which asks for a passphrase
or asks ssh-agent as it always does; it ends within a day unless it says otherwise, so that a copy
of it is worth nothing later. Where signatures are required and there is no key, nothing is dropped.
Leaves out: whom a key stands for (`signature`).
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
"""Seconds for which a request is good that does not say it."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it is dropped. signature: over `body`, to lie beside it."""

    body: bytes
    signature: bytes


def sign(body: bytes, key: str) -> Signed:
    """Sign a request, which is given an end where it has none.

    Raises ConfigError where ssh-keygen cannot sign with the key, Refused where it has to be told
    when it ends by hand.
    """
    body = ending(body, int(time.time()) + LASTS)
    words = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(Path(key).expanduser())]
    # With the operator's environment and terminal: ssh-agent's socket, and who is asked.
    try:
        done = subprocess.run(words, input=body, capture_output=True, check=False)
    except OSError as error:
        raise ConfigError(f"ssh-keygen: {error.strerror}", advice="install OpenSSH") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise ConfigError(
            f"cannot sign with {key}: {said}",
            advice="name your private key, or the public half of one that `ssh-add -L` lists",
        )
    return Signed(body, done.stdout)


def needed() -> Refused:
    """Say what to do where there is no key."""
    return Refused(
        "this site requires signed requests, and you gave no key",
        advice="--sign KEY, or PROVISIONER_SIGN=KEY: your private key, or the public half of one "
        "that ssh-agent has; it must be in the site's list of signers",
    )


def ending(body: bytes, when: int) -> bytes:
    """Give a request an end, in seconds since the epoch, where it has none; all else stays.

    What is no request is left as it is: the service says why. Raises Refused where the text has no
    place for another line.
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
