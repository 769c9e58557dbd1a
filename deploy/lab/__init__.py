"""The lab: real Samba AD, slapd, MariaDB and Slurm on loopback, for tests. See README.md."""
