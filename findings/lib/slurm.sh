# To be sourced: a slurmdbd 22.05.8 and its MariaDB, from Debian 12's packages, in a temporary directory.
#
# Nothing is installed on the machine, which has to be a Debian 12: the packages are unpacked in $place,
# and their daemons listen on free ports of 127.0.0.1 and end with the script. auth/none stands in for
# munge, so that neither a key nor root is needed. Gives `sacctmgr`, which says yes to every question and
# has a cluster `hpc`, and `says COMMAND...`, which prints a command, what it said and its exit status,
# and keeps both in $said and $status.
slurm=22.05.8-4+deb12u3
mariadb=1:10.11.19-0+deb12u1
place=$(mktemp -d)
daemons=()
trap 'kill "${daemons[@]}" 2>/dev/null; wait; rm -rf "$place"' EXIT
cd "$place"
mkdir packages root data
(
    cd packages
    apt-get -qq -o "APT::Sandbox::User=$(id -un)" download "slurmdbd=$slurm" "slurm-client=$slurm" \
        "slurm-wlm-basic-plugins=$slurm" "slurm-wlm-mysql-plugin=$slurm" \
        "mariadb-server-core=$mariadb" "libmariadb3=$mariadb" \
        libaio1 liburing2 libnuma1 libreadline8 libmunge2
)
for package in packages/*.deb; do dpkg -x "$package" root; done
libraries=$(printf '%s:' "$place"/root/usr/lib/*-linux-gnu/ "$place"/root/lib/*-linux-gnu/)
plugins=$(echo "$place"/root/usr/lib/*-linux-gnu/slurm-wlm)
read -r sql dbd < <(python3 -c 'import socket
ends = [socket.create_server(("127.0.0.1", 0)) for _ in "12"]
print(*(end.getsockname()[1] for end in ends))')

cat >slurmdbd.conf <<END
AuthType=auth/none
PluginDir=$plugins
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$dbd
SlurmUser=$(id -un)
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$sql
LogFile=$place/slurmdbd.log
PidFile=$place/slurmdbd.pid
END
chmod 600 slurmdbd.conf
cat >slurm.conf <<END
ClusterName=hpc
SlurmctldHost=localhost
AuthType=auth/none
PluginDir=$plugins
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$dbd
END

inside() { LD_LIBRARY_PATH=$libraries SLURM_CONF=$place/slurm.conf "$@"; }
sacctmgr() { inside root/usr/bin/sacctmgr --immediate "$@"; }
says() {
    echo "\$ $*"
    status=0
    said=$("$@" 2>&1) || status=$?
    echo "$said"
    echo "exit status $status"
}

# Without grant tables nobody needs a password. Its other system tables it does need: slurmdbd keeps
# a procedure in it.
mariadb() {
    local words=(--no-defaults --skip-grant-tables --datadir="$place/data" --tmpdir="$place" --user="$(id -un)"
        --lc-messages-dir="$place/root/usr/share/mysql" --plugin-dir="$place")
    LD_LIBRARY_PATH=$libraries exec root/usr/sbin/mariadbd "${words[@]}" "$@" >>mariadb.log 2>&1
}
{
    printf '%s;\n' 'create database mysql' 'use mysql'
    cat root/usr/share/mysql/mysql_system_tables.sql
} | mariadb --bootstrap
mariadb --bind-address=127.0.0.1 --port="$sql" --socket="$place/socket" &
daemons+=($!)
LD_LIBRARY_PATH=$libraries SLURM_CONF=$place/slurm.conf root/usr/sbin/slurmdbd -D >/dev/null 2>&1 &
daemons+=($!)
for _ in {1..300}; do
    sacctmgr show cluster >/dev/null 2>&1 && break
    sleep 0.2
done
inside root/usr/bin/sacctmgr --version
sacctmgr add cluster hpc >/dev/null
