"""Limits of associations: as people write them, as sacctmgr prints them, and merged."""
