#!/usr/bin/env bash
# Slurm 22.05.8: a limit of 1536 GB, dumped by sacctmgr and loaded again, is one megabyte.
#
# sacctmgr shows some amounts of memory as a fraction of the next unit: 1536G comes out as mem=1.50T, of
# `show` and in the file of `dump`. What it reads are whole numbers: of 1.50T it takes the 1, in megabytes,
# complains about a unit called "." and ends with exit status 0. So to load the dump of a cluster changes
# the cluster, and to set a limit to what `show` says changes the limit. The fraction may not even be one:
# 1049088 MB, half a gigabyte more than a terabyte, is 1.00T, where 1048576 MB is 1T.
set -euo pipefail
. "$(dirname "$0")/lib/slurm.sh"
sacctmgr add account phys cluster=hpc >/dev/null
set_to() { sacctmgr modify account phys set "GrpTRES=mem=$1" >/dev/null; }
shown() { sacctmgr -nP show assoc where account=phys format=grptres; }

for memory in 1500G 1048576 1049088 1536G; do
    set_to "$memory"
    echo "set to mem=$memory: $(shown)"
done | tee table
diff table - <<'END'
set to mem=1500G: mem=1500G
set to mem=1048576: mem=1T
set to mem=1049088: mem=1.00T
set to mem=1536G: mem=1.50T
END
sacctmgr dump hpc file=hpc.cfg >/dev/null 2>&1
grep phys hpc.cfg
grep -q 'GrpTRES=mem=1.50T' hpc.cfg
says sacctmgr load hpc.cfg cluster=hpc
[ "$status" = 0 ]
echo "now: $(shown)"
[ "$(shown)" = mem=1M ]
