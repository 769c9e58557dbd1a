#!/usr/bin/env bash
# Slurm 22.05.8: an account whose only QOS is taken away has its parent's after that, so another one.
#
# `QOS=short` gives an account its own list, in place of what it has from above. `QOS-=short` takes the one
# QOS out; an empty list is no list, and the account may use what root may, here `normal`, to which it had
# no access before. Nor do two words add up as they stand: QOS=short QOS+=long is short alone, while the other
# way round it is both; and QOS= QOS+=long, "only long, whatever was there", is root's list without long.
# Exit status 0, all of them, and "Modified".
set -euo pipefail
. "$(dirname "$0")/lib/slurm.sh"
sacctmgr add qos short,long >/dev/null
sacctmgr add account phys cluster=hpc >/dev/null
shown() { sacctmgr -nP show assoc where account=phys format=qos; }
while read -ra change; do
    sacctmgr modify account phys set QOS=short >/dev/null
    before=$(shown)
    said=$(sacctmgr modify account phys set "${change[@]}")
    grep -q Modified <<<"$said"
    echo "$before, ${change[*]}: $(shown)"
done <<'END' | tee table
QOS-=short
QOS=short QOS+=long
QOS+=long QOS=short
QOS= QOS+=long
END
diff table - <<'END'
short, QOS-=short: normal
short, QOS=short QOS+=long: short
short, QOS+=long QOS=short: long,short
short, QOS= QOS+=long: normal
END
