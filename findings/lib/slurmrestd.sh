# To be sourced: slurmrestd 22.05.8 before the slurmdbd of slurm.sh, which it sources, on a Unix socket.
#
# Gives `asks METHOD PATH [BODY]`, PATH below /slurmdb/v0.0.38/, which prints the answer, without the words
# that all answers have, and keeps its HTTP status in $status and the JSON of its errors in $errors.
. "$(dirname "${BASH_SOURCE[0]}")/slurm.sh"
mkdir rest
(
    cd rest
    apt-get -qq -o "APT::Sandbox::User=$(id -un)" download "slurmrestd=$slurm" \
        libhttp-parser2.9 libjson-c5 libyaml-0-2
)
for package in rest/*.deb; do dpkg -x "$package" root; done
cat >asks.py <<'PYTHON'
import http.client
import json
import socket
import sys


class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("rest/socket")


connection = Local("localhost")
method, path, body = sys.argv[1:]
connection.request(method, f"/slurmdb/v0.0.38/{path}", body or None, {"Content-Type": "application/json"})
answer = connection.getresponse()
text = answer.read()
said = {name: value for name, value in json.loads(text or "{}").items() if name != "meta"}
print(answer.status, json.dumps(said.get("errors", [])), json.dumps(said), sep="\t")
PYTHON
asks() {
    IFS=$'\t' read -r status errors said < <(python3 asks.py "$1" "$2" "${3:-}")
    echo "$1 $2 ${3:-}"
    echo "  HTTP $status $said"
}

# It refuses to run as root or SlurmUser, which here is one and the same.
LD_LIBRARY_PATH=$libraries SLURM_CONF=$place/slurm.conf SLURMRESTD_SECURITY=disable_user_check \
    root/usr/sbin/slurmrestd -s openapi/dbv0.0.38 -a rest_auth/local "unix:$place/rest/socket" >rest.log 2>&1 &
daemons+=($!)
for _ in {1..100}; do
    [ -S rest/socket ] && break
    sleep 0.2
done
