"""What a directory's answers mean: result codes as the contract's errors.

Promises: the code alone decides (RFC 4511 4.1.9, MS-ADTS 3.1.1.3.1.9), the server's words are only
handed on. Leaves out: what a handler makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ldap3.core.exceptions import (
    LDAPBindError,
    LDAPCertificateError,
    LDAPCommunicationError,
    LDAPException,
    LDAPResponseTimeoutError,
    LDAPSocketOpenError,
    LDAPSocketSendError,
    LDAPStartTLSError,
)

from provisioner.contract import Fault, Permanent, Transient, Unavailable, Unknown

SUCCESS = 0
NO_SUCH_OBJECT = 32
SIZE_LIMIT = 4


class Exists(Transient):
    """The entry or the value is there already; what is read back decides."""


class Absent(Transient):
    """The entry or the value is not there; what is read back decides."""


class Unwilling(Permanent):
    """The server's rules forbid it; Active Directory says so of most that it does not like."""


_LOOK = "what is there is read again; if this comes back, look at the entry"
_SERVER = "see the directory server's log"
_BIND = "check bind_dn, the secret that `password` names, and `tls`"

_MEANING: Mapping[int, tuple[type[Fault], str]] = {
    1: (Transient, _SERVER),  # operationsError
    3: (Transient, "the server took too long: index what is searched, or raise its limit"),
    SIZE_LIMIT: (Permanent, "raise the server's size limit for the service's account"),
    8: (Unavailable, _BIND),  # strongerAuthRequired
    10: (Permanent, "a referral: name a server of `servers` that may write here (no RODC)"),
    11: (Transient, "an administrative limit of the server: raise it, or make batches smaller"),
    13: (Unavailable, _BIND),  # confidentialityRequired
    16: (Absent, _LOOK),  # noSuchAttribute
    19: (Unwilling, "a constraint of the directory: see what it said"),
    20: (Exists, _LOOK),  # attributeOrValueExists
    NO_SUCH_OBJECT: (Absent, "check that the container or base is there, and may be seen"),
    48: (Unavailable, _BIND),  # inappropriateAuthentication
    49: (Unavailable, _BIND),  # invalidCredentials
    50: (Permanent, "delegate this right to the service's account in the directory"),
    51: (Transient, _SERVER),  # busy
    52: (Unavailable, _SERVER),  # unavailable
    53: (Unwilling, "a rule of the directory (password policy, protected entry): see what it said"),
    65: (Permanent, "the directory's schema lacks an attribute or class: extend it, or leave out"),
    68: (Exists, _LOOK),  # entryAlreadyExists
    80: (Transient, _SERVER),  # other
}


def fault_of(where: str, result: Mapping[str, Any]) -> Fault | None:
    """Translate a result; None when it says success. where: server, verb and DN."""
    code = int(result.get("result", 80))
    if code == SUCCESS:
        return None
    kind, advice = _MEANING.get(code, (Permanent, "see what the directory said"))
    said = str(result.get("message") or "").strip("\x00 \n") or "no further word"
    return kind(f"{where}: {code} {result.get('description', '')}: {said}", advice=advice)


def fault_of_read(where: str, error: Exception) -> Fault:
    """Translate what went wrong while connecting or reading."""
    advice = ""
    if isinstance(error, (LDAPCertificateError, LDAPStartTLSError)) or "certificate" in str(error):
        advice = "check `ca_file`, `server_name` and the server's certificate"
    elif isinstance(error, LDAPBindError):
        advice = _BIND
    return Unavailable(f"{where}: {_words(error)}", advice=advice)


def fault_of_write(where: str, error: Exception) -> Fault:
    """Translate what went wrong while writing: without an answer it may have happened."""
    if isinstance(error, (LDAPSocketOpenError, LDAPSocketSendError)):
        return Unavailable(f"{where}: not sent: {_words(error)}")
    if isinstance(error, (LDAPCommunicationError, LDAPResponseTimeoutError, OSError)):
        return Unknown(
            f"{where}: no answer: {_words(error)}", advice="it is read again until it is settled"
        )
    return Permanent(f"{where}: {_words(error)}", advice="the value cannot be written as it is")


FAILURES = (LDAPException, OSError)
"""What ldap3 raises, or lets through."""


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
