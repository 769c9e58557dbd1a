"""Filesets of IBM Storage Scale (GPFS), with quotas and ACLs."""
