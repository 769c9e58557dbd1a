#!/usr/bin/env bash
# ColdFront 1.1.10, its Slurm plugin: which of a user's two limits holds changes from run to run.
#
# A user who comes into one Slurm account by two allocations has the specs of both. slurm_dump joins them
# by way of a Python set of text, whose order goes by PYTHONHASHSEED, another one in each process. So the
# same database gives other dumps each time: here MaxJobs=50 stands now before, now behind MaxJobs=5, and
# `sacctmgr load` reads both. What a dump says today it may not say tomorrow, and two dumps cannot be
# compared. The lines are as `sacctmgr dump` writes them; the second allocation is added as the plugin does.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" -q --disable-pip-version-check install coldfront==1.1.10
cat >"$place/dump.py" <<'PYTHON'
import io

import django

django.setup()
from coldfront.plugins.slurm.associations import SlurmCluster, SlurmUser

DUMP = """\
Cluster - 'hpc':Fairshare=1:QOS='normal'
Parent - 'root'
User - 'root':DefaultAccount='root':AdminLevel='Administrator':Fairshare=1
Account - 'phys':Description='physics':Organization='science':Fairshare=10
Parent - 'phys'
User - 'jdoe':DefaultAccount='phys':Fairshare=1:MaxJobs=5
"""
cluster = SlurmCluster.new_from_stream(io.StringIO(DUMP))
cluster.get_account("phys").add_user(SlurmUser("jdoe", specs=["MaxJobs=50"]))
out = io.StringIO()
cluster.write(out)
print(next(line for line in out.getvalue().splitlines() if "'jdoe'" in line))
PYTHON
"$place/env/bin/pip" --disable-pip-version-check list 2>/dev/null | grep -i '^coldfront '
export SECRET_KEY=none PLUGIN_SLURM=True DJANGO_SETTINGS_MODULE=coldfront.config.settings
cd "$place"
for seed in 1 2 3 4 5 6; do
    PYTHONHASHSEED=$seed "$place/env/bin/python" -W ignore dump.py 2>/dev/null
done | tee lines
[ "$(sort -u lines | wc -l)" -gt 1 ]
grep -q 'MaxJobs=50.*MaxJobs=5\(:\|$\)' lines
grep -q 'MaxJobs=5:.*MaxJobs=50' lines
