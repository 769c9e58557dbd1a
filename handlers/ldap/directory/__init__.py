"""A directory over LDAP: connecting, searching, writing, and what its answers mean."""

import warnings

# ldap3 2.9.1 is its last release, and calls what pyasn1 and Python have deprecated since. Where
# warnings are errors (PYTHONWARNINGS=error), no connection would succeed.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(ldap3|pyasn1)\.")
