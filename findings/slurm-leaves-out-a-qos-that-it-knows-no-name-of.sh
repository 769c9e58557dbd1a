#!/usr/bin/env bash
# Slurm 22.05.8: a sacctmgr that is kept running leaves each QOS out that is newer than itself.
#
# `sacctmgr` without a command reads commands from its input, and asks slurmdbd for the associations of each, so
# that a new limit is seen. The names of the QOS it asked for once. A QOS that somebody made since is left out
# of every list without a word: an account that may use normal and rush may use normal, and one that may use
# nothing but rush has no list, which means all. A program that keeps it running, to save a process for each
# question, and compares the answer with what should be there, takes for lost what is not.
set -euo pipefail
. "$(dirname "$0")/lib/slurm.sh"
sacctmgr add account phys cluster=hpc >/dev/null
sacctmgr modify account phys set GrpJobs=5 QOS=normal >/dev/null

mkfifo asked
sacctmgr -nP <asked >told 2>/dev/null &
daemons+=($!)
exec 7>asked
question="show assoc where account=phys user= format=account,grpjobs,qos"
kept() { # what the running one prints
    before=$(grep -c '^phys|' told || true)
    echo "$question" >&7
    for _ in {1..100}; do
        [ "$(grep -c '^phys|' told)" -gt "$before" ] && break
        sleep 0.1
    done
    grep '^phys|' told | tail -n 1
}
# shellcheck disable=SC2086
both() { echo "$1: kept running $(kept), new $(sacctmgr -nP $question)"; }
{
    both "at first"
    sacctmgr modify account phys set GrpJobs=7 >/dev/null
    both "another limit"
    sacctmgr add qos rush >/dev/null
    sacctmgr modify account phys set QOS=normal,rush >/dev/null
    both "a newer QOS, too"
    sacctmgr modify account phys set QOS=rush >/dev/null
    both "that alone"
} | tee table
exec 7>&-
diff table - <<'END'
at first: kept running phys|5|normal, new phys|5|normal
another limit: kept running phys|7|normal, new phys|7|normal
a newer QOS, too: kept running phys|7|normal, new phys|7|normal,rush
that alone: kept running phys|7|, new phys|7|rush
END
