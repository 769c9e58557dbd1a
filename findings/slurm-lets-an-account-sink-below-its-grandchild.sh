#!/usr/bin/env bash
# Slurm 22.05.8: an account is put below its own grandchild, and the grandchild takes its place at the top.
#
# Accounts are a tree, and one would look for an error where a request would close a ring in it. slurmdbd
# carries it out: it lifts the grandchild to where the account was, and moves the account, with the child
# that it still has, below. sacctmgr names the one account that it was told to move, with exit status 0;
# the other has another parent without having been named. Where parents are set from a list, Slurm does
# not find a mistake of this kind in it.
set -euo pipefail
. "$(dirname "$0")/lib/slurm.sh"
sacctmgr add account faculty cluster=hpc >/dev/null
sacctmgr add account institute parent=faculty cluster=hpc >/dev/null
sacctmgr add account team parent=institute cluster=hpc >/dev/null
tree() { sacctmgr -nP show assoc where account=faculty,institute,team format=account,parentname; }

tree | tee before
diff <(sort before) - <<'END'
faculty|root
institute|faculty
team|institute
END
says sacctmgr modify account faculty set parent=team
[ "$status" = 0 ]
[[ $said == *'A = faculty of root'* && $said != *team* ]]
tree | tee after
diff <(sort after) - <<'END'
faculty|team
institute|faculty
team|root
END
