#!/usr/bin/env bash
# slurmrestd 22.05.8, v0.0.38: what it refuses is HTTP 200, and what is not there is HTTP 500.
#
# A body that lacks a field it wants is answered with 200; that nothing was written stands in "errors" only.
# To ask for an account that is not there, or for the associations of somebody who has none, is answered with
# 500, as if the server had failed, and to remove one that is not there with 304 and no body. A client that
# goes by the status takes the refusal for done, and asks again and again for what is only absent. Both the
# status and "errors" are to be read, and error_number 9003 is what tells "none" from "broken".
set -euo pipefail
. "$(dirname "$0")/lib/slurmrestd.sh"
sacctmgr add account phys cluster=hpc >/dev/null

asks POST associations '{"associations": [{"account": "phys", "cluster": "hpc"}]}'
[ "$status" = 200 ]
[[ $errors == *"Missing required field 'user'"* ]]
for nothing in account/none associations?user=none association?user=none\&account=phys\&cluster=hpc; do
    asks GET "$nothing"
    [ "$status" = 500 ]
    [[ $errors == *9003* ]]
done
asks DELETE association?user=none\&account=phys\&cluster=hpc
[ "$status" = 304 ]
[ "$errors" = '[]' ]
