"""What Python 3.13 and later require of an authority's certificate, and many homemade ones lack.

Promises: reports what is missing before an upgrade of Python, because until then connections
succeed; reads a file and nothing else.
Leaves out: whether a server's certificate is the authority's, which each connection checks.

Since 3.13 `ssl.create_default_context` sets VERIFY_X509_STRICT, and OpenSSL then refuses such a
certificate: `CA cert does not include key usage extension`.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

# Object identifiers 2.5.29.19, .15 and .14 in DER (RFC 5280, 4.2.1); the first marked critical,
# and with CA:TRUE.
_CRITICAL = b"\x06\x03\x55\x1d\x13\x01\x01\xff"
_AUTHORITY = re.compile(rb"\x06\x03\x55\x1d\x13(\x01\x01\xff)?\x04.\x30.\x01\x01\xff", re.DOTALL)
_ASKED = (
    (b"\x06\x03\x55\x1d\x0f", "no key usage"),
    (_CRITICAL, "basic constraints not marked critical"),
    (b"\x06\x03\x55\x1d\x0e", "no subject key identifier"),
)


def lacking(path: Path) -> list[str]:
    """Return what each authority's certificate in a PEM file lacks, with its place in the file.

    Raises OSError if the file cannot be read.
    """
    problems = []
    text = path.read_text(encoding="utf-8", errors="replace")
    for place, block in enumerate(_PEM.findall(text), 1):
        der = ssl.PEM_cert_to_DER_cert(block)
        lacks = [what for encoded, what in _ASKED if encoded not in der]
        if lacks and _AUTHORITY.search(der):
            problems.append(f"certificate {place} has {' and '.join(lacks)}")
    return problems
