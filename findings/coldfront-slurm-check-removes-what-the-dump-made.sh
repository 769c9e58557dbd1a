#!/usr/bin/env bash
# ColdFront 1.1.10, its Slurm plugin: slurm_check has accounts removed that slurm_dump has just made.
#
# slurm_check compares what Slurm has with what ColdFront says, and lists what is to go; with -s it removes
# it. An account goes when as many of its users go as it has, which is so of an account without users: none
# of none. An active allocation to which nobody was added yet is such a one. slurm_dump writes it, `sacctmgr
# load` makes it, the next check removes it, with its limits, and so round for round. Here a cluster is
# compared with itself, from lines as `sacctmgr dump` of 22.05 writes them: there is one thing to remove.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" -q --disable-pip-version-check install coldfront==1.1.10
"$place/env/bin/pip" --disable-pip-version-check list 2>/dev/null | grep -i '^coldfront '
export SECRET_KEY=none PLUGIN_SLURM=True DJANGO_SETTINGS_MODULE=coldfront.config.settings
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import io

import django

django.setup()
from coldfront.plugins.slurm.associations import SlurmCluster

DUMP = """\
Cluster - 'hpc':Fairshare=1:QOS='normal'
Parent - 'root'
User - 'root':DefaultAccount='root':AdminLevel='Administrator':Fairshare=1
Account - 'chem':Description='chem':Organization='chem':Fairshare=1:MaxJobs=20
Account - 'phys':Description='phys':Organization='phys':Fairshare=1:MaxJobs=10
Parent - 'phys'
User - 'jdoe':DefaultAccount='phys':Fairshare=1
"""
in_slurm, in_coldfront = (SlurmCluster.new_from_stream(io.StringIO(DUMP)) for _ in "12")
removed = in_slurm.get_objects_to_remove(in_coldfront)
print("the same on both sides; to remove:", removed)
assert removed == {"users": [], "accounts": [{"account": "chem"}], "qoses": []}
PYTHON
