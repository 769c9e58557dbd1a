#!/usr/bin/env bash
# procrastinate 3.10.0: a worker that was only slow ends the job that another one has by now.
#
# The way for stalled jobs is to list them and to retry each: it goes back to `todo`, and the next worker
# takes it, as the same row under the same number. When the slow one ends, its "finished" goes by that
# number alone. So the job is `succeeded` while the second worker is in the middle of it, its lock is free,
# and a third worker takes the next job of that lock beside it.
# Seen: after the first worker's end the job is succeeded, and the next of the same lock is fetched at once.
#
# It needs a Debian 12, whose PostgreSQL is unpacked and not installed.
set -euo pipefail
postgres=15.20-0+deb12u1
place=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -INT "$server"; wait; rm -rf "$place"' EXIT
cd "$place"
mkdir packages root
(
    cd packages
    apt-get -qq -o "APT::Sandbox::User=$(id -un)" download "postgresql-15=$postgres" libllvm14
)
for package in packages/*.deb; do dpkg -x "$package" root; done
python3 -m venv env
env/bin/pip -q --disable-pip-version-check install procrastinate==3.10.0 'psycopg[binary]==3.3.9'

as=()
if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses root
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chown 65534:65534 "$place"
    chmod 755 "$place"
fi
bin=$place/root/usr/lib/postgresql/15/bin
libraries=$(printf '%s:' "$place"/root/usr/lib/*-linux-gnu/)
inside() { HOME=$place LD_LIBRARY_PATH=$libraries "${as[@]}" "$@"; }
inside "$bin/initdb" --pgdata="$place/data" --username=finder --auth=trust --no-sync >/dev/null
HOME=$place LD_LIBRARY_PATH=$libraries "${as[@]}" "$bin/postgres" -D "$place/data" -k "$place" -h '' -F \
    2>"$place/log" &
server=$!

env/bin/python - "$place" <<'PYTHON'
import asyncio
import sys
import time
from importlib.metadata import version

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Status

ADDRESS = f"postgresql:///postgres?host={sys.argv[1]}&user=finder"


async def main():
    app = App(connector=PsycopgConnector(conninfo=ADDRESS))

    @app.task(name="drain")
    def drain():
        """Done by hand here, as a worker does it."""

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        manager = app.job_manager
        first, second = [await drain.configure(lock="lane").defer_async() for _ in "ab"]
        slow, quick, third = [await manager.register_worker() for _ in "abc"]
        job = await manager.fetch_job(None, worker_id=slow)
        assert job.id == first

        [stalled] = await manager.get_stalled_jobs(seconds_since_heartbeat=0)
        await manager.retry_job(stalled)
        again = await manager.fetch_job(None, worker_id=quick)
        print(f"the slow worker has job {job.id}; it was retried, and the quick one has job {again.id}")
        assert again.id == first
        beside = await manager.fetch_job(None, worker_id=third)
        print("a third worker, while the quick one has it:", beside)
        assert beside is None

        await manager.finish_job(job, Status.SUCCEEDED, delete_job=False)
        status = await manager.get_job_status_async(first)
        beside = await manager.fetch_job(None, worker_id=third)
        print(f"the slow one ends: job {first} is {status.value}, and a third worker gets job {beside.id}")
        assert status is Status.SUCCEEDED
        assert beside.id == second and beside.lock == "lane"


for _ in range(300):
    try:
        psycopg.connect(ADDRESS).close()
        break
    except psycopg.OperationalError:
        time.sleep(0.1)
with psycopg.connect(ADDRESS) as conn:
    print("procrastinate", version("procrastinate"), "on PostgreSQL", conn.info.parameter_status("server_version"))
asyncio.run(main())
PYTHON
