#!/usr/bin/env bash
# Slurm 22.05.8: K behind a number is 1024, or megabytes, or nothing, as the limit likes, and never an error.
#
# sacctmgr takes units where it counts TRES: GrpTRESMins=cpu=1000K is 1024000 minutes. For memory, which is
# kept in megabytes, there is no smaller one: mem=512K is 512M, 1024 times what was asked for. The limits
# on jobs know no unit, are read as far as there are digits, and 32 bits of them are kept: MaxJobs=1K is 1,
# and so is 4294967297. All are "Modified", with exit status 0 and without a word; what is kept is to be
# read back and compared.
set -euo pipefail
. "$(dirname "$0")/lib/slurm.sh"
sacctmgr add account phys cluster=hpc >/dev/null
while read -r limit column; do
    said=$(sacctmgr modify account phys set "$limit" 2>&1) && status=0 || status=$?
    grep -q Modified <<<"$said"
    echo "$limit: $(sacctmgr -nP show assoc where account=phys format="$column"), exit status $status"
done <<'END' | tee table
GrpTRESMins=cpu=1000K grptresmins
GrpTRES=mem=512K grptres
MaxJobs=1K maxjobs
MaxJobs=4294967297 maxjobs
END
diff table - <<'END'
GrpTRESMins=cpu=1000K: cpu=1024000, exit status 0
GrpTRES=mem=512K: mem=512M, exit status 0
MaxJobs=1K: 1, exit status 0
MaxJobs=4294967297: 1, exit status 0
END
