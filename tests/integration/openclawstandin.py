"""A stand-in for Node.js and OpenClaw: an archive and a lock of a few bytes, and a gateway as strict about its file."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import sys
import tarfile
from pathlib import Path

import yaml

from fleet.sim.ports import free_port
from tests.integration.conftest import ROOT, Room

_NODE = '#!/bin/sh\nexec {python} "$(dirname "$0")/../lib/gateway.py" "$@"\n'
_GATEWAY = """\
import http.server, json, os, re, sys
environment_file, program, verb, flag, port = sys.argv[1:]
assert os.path.exists(program) and (verb, flag) == ("gateway", "--port"), sys.argv
names = {line.split("=", 1)[0] for line in open(environment_file.removeprefix("--env-file="))}
text = open(os.environ["OPENCLAW_CONFIG_PATH"]).read()
config = json.loads(text)
known = {"gateway", "models", "agents", "logging", "update", "discovery"}
if config["gateway"]["mode"] != "local" or set(config) - known or set(re.findall(r"[$][{](\\w+)[}]", text)) - names:
    sys.exit(78)
os.makedirs(os.path.join(os.environ["OPENCLAW_STATE_DIR"], "agents"), exist_ok=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""
_NPM = """\
import pathlib
folder = pathlib.Path("node_modules/openclaw/dist")
folder.mkdir(parents=True)
(folder / "index.js").write_text(pathlib.Path("package.json").read_text())
"""


def with_openclaw(room: Room, *, node: str = "mac-1") -> dict[str, str]:
    """Give the room's site.yml the OpenClaw of the shipped playbook, with stand-ins. The npm to be called with."""
    runtime = runtime_archive(room)
    for name, text in (("package.json", {"version": "1"}), ("package-lock.json", {"packages": {}})):
        path = room.folder / "locks/openclaw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(text))
    for name in ("openclaw.key", "openclaw.token"):
        path = room.folder / "secrets" / name
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(24))
    inventory = room.folder / "inventory" / "fleet.yml"
    data = yaml.safe_load(inventory.read_text())
    pin = hashlib.sha256(runtime.read_bytes()).hexdigest()
    own = {"openclaw_node_url": runtime.as_uri(), "openclaw_node_sha256": pin}
    data["all"]["children"]["openclaw"] = {"hosts": {node: {}}, "vars": own}
    inventory.write_text(yaml.safe_dump(data, sort_keys=False))
    plays = yaml.safe_load((ROOT / "playbooks" / "openclaw.yml").read_text())
    plays[-1]["tasks"][-1]["daemon"]["port"] = free_port()
    plays[-1]["health"][0]["launchd"]["stable_for"] = "500ms"
    (room.folder / "playbooks" / "site.yml").write_text(yaml.safe_dump(plays, sort_keys=False))
    npm = room.folder / "npm.py"
    npm.write_text(_NPM)
    return {"FLEET_NPM": f"{sys.executable} {npm}"}


def runtime_archive(room: Room, *, gateway: str = _GATEWAY, name: str = "node.tar.gz") -> Path:
    """A Node.js that runs `gateway`, whatever program it is told to."""
    path = room.folder / name
    with tarfile.open(path, "w:gz") as tar:
        _add(tar, "node-v0/bin/node", _NODE.format(python=sys.executable), mode=0o755)
        _add(tar, "node-v0/lib/gateway.py", gateway)
    return path


def _add(tar: tarfile.TarFile, name: str, text: str, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text.encode()), mode
    tar.addfile(entry, io.BytesIO(text.encode()))


def archives_of(room: Room, node: str = "mac-1") -> list[Path]:
    """What lies unpacked on a node."""
    folder = room.root(node) / "archives"
    return sorted(folder.iterdir()) if folder.is_dir() else []
