"""Shared fixtures of tests: sites, backends, ledgers and agents, as at a center."""
