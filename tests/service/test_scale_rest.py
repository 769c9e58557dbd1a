"""The whole service makes a fileset by the GUI of Storage Scale."""

from __future__ import annotations

import json
from pathlib import Path

from handlers.emulators.gpfs.gui import LOGIN, Gui
from tests.support.cli_site import Desk, sample, storage
from tests.support.gpfs_gui import server


def test_a_request_is_served_by_rest_from_staging_to_its_result(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "site")
    gpfs = desk.root / "gpfs"
    gui, authority = server()
    gui.gui = Gui(gpfs)
    files = [
        desk.file(name, f"{text}\n") for name, text in zip(("user", "key"), LOGIN, strict=True)
    ]
    before = desk.config.read_text()
    rest = f"    transport: rest\n    gui: [{gui.url}]\n    user: gui-user\n    password: gui-key\n"
    rest += f"    ca_file: {authority}\n    poll: 0.02\n"
    commands = f"    mm_path: {gpfs}/bin\n"
    assert commands in before
    secrets = f"secrets: {{gui-user: {files[0]}, gui-key: {files[1]}}}\n"
    desk.config.write_text(secrets + before.replace(commands, rest))

    request = desk.serve(sample("user-jdoe.yaml"), storage("CF9"))
    assert desk.show(request)["state"] == "done"
    [fileset] = json.loads((gpfs / "state.json").read_text())["filesets"].keys() - {"root"}
    assert "POST filesystems/fs1/filesets" in gui.gui.asked
    assert "POST filesystems/fs1/quotas" in gui.gui.asked
    quotas = json.loads((gpfs / "state.json").read_text())["quotas"]
    assert quotas[fileset]["block"][1] > 0
    assert "Storage Scale" in desk("doctor", code=None).out
