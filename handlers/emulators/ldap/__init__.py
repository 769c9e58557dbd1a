"""An emulated directory."""

# Before ldap3 is imported: it asks for what is deprecated.
import handlers.ldap.directory  # noqa: F401
