#!/usr/bin/env bash
# slurmrestd 22.05.8, v0.0.38: to post an association makes a user whom `sacctmgr show user` does not know,
# and whom `sacctmgr add user` cannot add.
#
# sacctmgr adds a user and the association with an account in one step. Of slurmrestd's two calls, users and
# associations, the second does not ask for the first: 200, no errors, and the association is there for a name
# that has no user record. Who then lists users does not find it; who finds it missing and adds it as one is
# used to, with the account, is told that nothing was created, exit status 1. Adding without an account is
# no way either, as sacctmgr wants one. By REST, the record can be added after.
set -euo pipefail
. "$(dirname "$0")/lib/slurmrestd.sh"
sacctmgr add account phys cluster=hpc >/dev/null

asks POST associations '{"associations": [{"account": "phys", "cluster": "hpc", "user": "jdoe"}]}'
[ "$status $errors" = '200 []' ]
says sacctmgr -nP show assoc where user=jdoe format=account,user
[ "$said" = 'phys|jdoe' ]
says sacctmgr -nP show user jdoe
[ "$said" = '' ]
says sacctmgr add user jdoe account=phys cluster=hpc
[ "$status" = 1 ]
says sacctmgr add user jdoe
[ "$status" = 1 ]
asks POST users '{"users": [{"name": "jdoe", "default": {"account": "phys"}}]}'
[ "$status $errors" = '200 []' ]
says sacctmgr -nP show user jdoe
[ "$said" = 'jdoe|phys|None' ]
