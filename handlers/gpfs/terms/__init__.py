"""What GPFS says of filesets, quotas and ACLs, whichever transport reads it. Pure."""
