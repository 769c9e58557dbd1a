"""Keys, lists of allowed signers and signatures, made by the real ssh-keygen."""

from __future__ import annotations

import subprocess
from pathlib import Path

EXPIRES = "expires: 2126-01-01T00:00:00Z\n"
POLICY = """\
retention: {{journal_days: 40000}}
policy:
  signatures: {{allowed_signers: signers, required: {required}}}
  rules:
  - {{who: [games], actions: [allocation.*]}}
  - {{who: [backup], actions: [user.*, request.*], others: true}}
"""


def make_key(root: Path, name: str) -> Path:
    """Make a key without a passphrase."""
    key = root / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return key


def allow(root: Path, /, **keys: Path) -> None:
    """Write the list of allowed signers."""
    public = {who: key.with_suffix(".pub").read_text() for who, key in keys.items()}
    path = root / "signers"
    path.write_text("".join(f"{who} {text}" for who, text in public.items()))
    path.chmod(0o644)


def sign(path: Path, key: Path, namespace: str = "provisioner") -> Path:
    """Sign a file; return the signature beside it."""
    words = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key), str(path)]
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    return path.with_name(f"{path.name}.sig")
