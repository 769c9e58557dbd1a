#!/usr/bin/env bash
# Slurm 22.05.8: a default QOS that is refused takes every other change of the command with it, and the exit
# status is 0.
#
# One `sacctmgr modify` with a default QOS that the user does not have, and a limit: slurmdbd refuses the
# default, and drops the limit, too. Nothing is changed, two lines say that access should be given first,
# and the exit status is that of success. It is enough that the default is an old one: a list of QOS without
# it is refused in the same way, with the limit beside it. A default that does not exist at all is found
# by sacctmgr itself, and is exit status 1. So of these commands only what is read back tells what they did.
set -euo pipefail
. "$(dirname "$0")/lib/slurm.sh"
sacctmgr add qos short,long >/dev/null
sacctmgr add account phys cluster=hpc >/dev/null
sacctmgr add user jdoe account=phys cluster=hpc QOS=short DefaultQOS=short MaxJobs=5 >/dev/null
modify() {
    local wanted=$1 row=$2
    shift 2
    says sacctmgr modify user jdoe where account=phys set "$@"
    [ "$status" = "$wanted" ]
    sacctmgr -nP show assoc where user=jdoe format=user,qos,defaultqos,maxjobs | tee now
    [ "$(cat now)" = "$row" ]
}

modify 0 'jdoe|short|short|5' DefaultQOS=long MaxJobs=50
modify 0 'jdoe|short|short|5' QOS=long MaxJobs=50
modify 1 'jdoe|short|short|5' DefaultQOS=none-such MaxJobs=50
modify 0 'jdoe|long|long|50' QOS=long DefaultQOS=long MaxJobs=50
