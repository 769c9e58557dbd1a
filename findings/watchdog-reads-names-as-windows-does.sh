#!/usr/bin/env bash
# watchdog 6.0.0, on Linux: a PatternMatchingEventHandler, as it comes, matches names as Windows does.
#
# Its default is case_sensitive=False, and that is done by PureWindowsPath: `*.yaml` takes X.YAML, which
# is expected; and a backslash, which on Linux is a letter of a name like any other, parts directories. So
# one file, `tmp\y.yaml`, is left out by ignore_patterns=["tmp/*"], though no directory tmp is there.
# With case_sensitive=True both are as a shell would say. What walks the directory with glob and what
# listens with watchdog see different files. Seen: see the assertions.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" -q --disable-pip-version-check install watchdog==6.0.0
mkdir "$place/staging"
"$place/env/bin/python" - "$place/staging" <<'PYTHON'
import sys
import time
from importlib.metadata import version
from pathlib import Path

from watchdog.events import PatternMatchingEventHandler
from watchdog.observers import Observer

staging = Path(sys.argv[1])


class Names(PatternMatchingEventHandler):
    def __init__(self, **more):
        super().__init__(patterns=["*.yaml"], ignore_patterns=["tmp/*"], **more)
        self.seen = set()

    def on_created(self, event):
        self.seen.add(Path(event.src_path).name)


default, strict = Names(), Names(case_sensitive=True)
observer = Observer()
for handler in (default, strict):
    observer.schedule(handler, str(staging))
observer.start()
for name in ("a.yaml", "X.YAML", "tmp\\y.yaml", "last.yaml"):
    (staging / name).write_text("")
end = time.monotonic() + 30
while not {"last.yaml"} <= default.seen & strict.seen and time.monotonic() < end:
    time.sleep(0.05)
observer.stop()
observer.join()
print(f"watchdog {version('watchdog')}")
print("as it comes:        ", sorted(default.seen))
print("case_sensitive=True:", sorted(strict.seen))
assert default.seen == {"a.yaml", "X.YAML", "last.yaml"}
assert strict.seen == {"a.yaml", "tmp\\y.yaml", "last.yaml"}
PYTHON
