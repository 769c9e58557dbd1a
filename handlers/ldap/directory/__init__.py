"""A directory over LDAP: connecting, searching, writing, and what its answers mean."""
