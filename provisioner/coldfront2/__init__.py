"""The app for ColdFront 2: the same outbox, receipts and words as `provisioner.coldfront`.

ColdFront 2 reads `config` from here. Its class is made only then, so that what is pure in this
package can be imported without ColdFront.
"""

from __future__ import annotations


def __getattr__(name: str) -> object:
    if name == "config":
        from provisioner.coldfront2.plugin import ProvisionerConfig

        return ProvisionerConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
