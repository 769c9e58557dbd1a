"""A directory over LDAP: connecting, asking, writing, and what its answers mean."""
