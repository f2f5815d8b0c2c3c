"""Plays that are right and plays that are wrong, fed to the validator and to the JSON Schema alike."""

from __future__ import annotations

from typing import Any


def with_task(**task: Any) -> list[Any]:
    """A playbook of one play with one task."""
    return [{"name": "p", "hosts": "all", "tasks": [{"name": "t", **task}]}]


def with_play(**play: Any) -> list[Any]:
    """A playbook of one play without tasks."""
    return [{"name": "p", "hosts": "all", "tasks": [], **play}]


SIDECAR = {"service": "sidecar", "name": "chat", "env": "mlx", "model": "m", "port": 8800}
COMMAND = {"argv": ["/bin/ls"], "creates": "/x"}

GOOD: dict[str, Any] = {
    "an empty play": with_play(),
    "a directory": with_task(directory={"path": "var/x", "mode": "0700", "owner": "me"}),
    "a file by content": with_task(file={"dest": "etc/x", "content": ""}),
    "a file by source": with_task(file={"dest": "etc/x", "src": "x.conf", "mode": "644"}),
    "a secret file": with_task(file={"dest": "etc/x", "secret": "env:X"}, sensitive=True),
    "a template": with_task(template={"src": "a.j2", "dest": "etc/a"}),
    "an env": with_task(python_env={"name": "node"}),
    "an env with its lock": with_task(python_env={"name": "node", "lock": "n.lock"}),
    "a model": with_task(model={"name": "{{ vars.model }}"}),
    "an archive by its address": with_task(
        archive={"name": "node", "url": "{{ vars.node_url }}", "sha256": "{{ vars.node_sha256 }}", "strip": 1}
    ),
    "an archive of the project": with_task(archive={"name": "x", "file": "x.zip", "sha256": "0" * 64}),
    "an archive of npm packages": with_task(archive={"name": "openclaw", "npm": "openclaw"}),
    "an agent": with_task(daemon={"service": "agent", "env": "node"}),
    "an OpenClaw": with_task(
        daemon={"service": "openclaw", "runtime": "node", "package": "oc", "key": "file:k", "token": "file:t"}
    ),
    "an edge": with_task(daemon={"service": "gateway", "role": "edge", "env": "node"}),
    "a sidecar": with_task(daemon=SIDECAR),
    "a sidecar with everything": with_task(
        daemon={
            **SIDECAR,
            "port": "{{ vars.port }}",
            "serves": "qwen",
            "context": 8192,
            "kv_reserve": "2GiB",
            "max_in_flight": 4,
            "options": {"prompt_cache_size": 8, "log_level": "INFO", "chat_template_args": {"x": True}},
            "environment": {"A": "b"},
        }
    ),
    "a daemon of one's own": with_task(daemon={"label": "x", "program": ["/bin/sleep", "9"], "keep_alive": "never"}),
    "a daemon by template": with_task(daemon={"label": "x", "template": "x.plist.j2", "ports": [9000]}),
    "a command": with_task(command=COMMAND),
    "a command with a check": with_task(command={"argv": ["/bin/ls"], "check": ["/bin/true"], "timeout": 5}),
    "a wait for a port": with_task(wait_for={"port": 1, "timeout": "1.5m"}),
    "a wait for a url": with_task(wait_for={"url": "http://127.0.0.1/"}),
    "pmset": with_task(pmset={"sleep": 0, "displaysleep": "{{ vars.x }}"}),
    "sysctl": with_task(sysctl={"iogpu.wired_limit_mb": 1024, "kern.x": "1"}),
    "tags": with_task(directory={"path": "/x"}, tags=["a", "b"]),
    "when a group": with_task(directory={"path": "/x"}, when={"group": "mlx"}),
    "when a fact": with_task(directory={"path": "/x"}, when={"fact": "memory_gb", "ge": 64, "lt": 512}),
    "when a fact is one of": with_task(directory={"path": "/x"}, when={"fact": "chip", "in": ["Apple M4", "Apple M3"]}),
    "when a variable": with_task(directory={"path": "/x"}, when={"var": "x", "eq": "y"}),
    "when a variable is defined": with_task(directory={"path": "/x"}, when={"var": "x", "defined": True}),
    "when combined": with_task(
        directory={"path": "/x"},
        when={"all": [{"group": "a"}, {"any": [{"var": "x", "eq": True}, {"not": {"group": "b"}}]}]},
    ),
    "a strategy": with_play(
        strategy={"canary": 1, "max_unavailable": "25%", "on_failure": "stop", "healthy_deadline": "5m"}
    ),
    "one at a time": with_play(strategy={"max_unavailable": 1}),
    "a whole strategy": with_play(
        strategy={
            "canary": 1,
            "max_unavailable": 2,
            "order": "least_memory",
            "pause": "manual",
            "floor": 2,
            "last_copy": "wait",
            "confirm": "60s",
            "on_failure": "revert_all",
            "healthy_deadline": 300,
            "give_up_after": "1m",
        }
    ),
    "a pause of some seconds": with_play(strategy={"pause": "30s"}),
    "health": with_play(
        health=[
            {"launchd": {"daemon": "agent", "stable_for": "3s", "max_restarts": 0}},
            {"http": {"daemon": "agent", "path": "/healthz", "status": 204}},
            {"generate": {"daemon": "sidecar.chat", "within": "3m"}},
            {"port": {"daemon": "agent", "port": 8791}},
        ]
    ),
}

BAD: dict[str, Any] = {
    "no plays": [],
    "a mapping": {"plays": []},
    "a play that is text": ["play"],
    "a play without hosts": [{"name": "p", "tasks": []}],
    "a play without a name": [{"hosts": "all", "tasks": []}],
    "a play without tasks": [{"name": "p", "hosts": "all"}],
    "a play with an unknown key": with_play(task=[]),
    "a play with handlers": with_play(handlers=[]),
    "tasks that are a mapping": with_play(tasks={}),
    "a task without a name": [{"name": "p", "hosts": "all", "tasks": [{"directory": {"path": "/x"}}]}],
    "a task without a kind": with_task(),
    "a task with two kinds": with_task(directory={"path": "/x"}, command=COMMAND),
    "a task with an unknown kind": with_task(shell="ls"),
    "a task with a kind and a stranger": with_task(directory={"path": "/x"}, loop=[1]),
    "a directory that is text": with_task(directory="/x"),
    "a directory without a path": with_task(directory={"mode": "0755"}),
    "a misspelt field": with_task(directory={"pth": "/x"}),
    "a mode that is a number": with_task(directory={"path": "/x", "mode": 493}),
    "a mode that is no mode": with_task(directory={"path": "/x", "mode": "rwx"}),
    "a file without a source": with_task(file={"dest": "/x"}),
    "a file with two sources": with_task(file={"dest": "/x", "content": "", "src": "y"}),
    "a file with a null source": with_task(file={"dest": "/x", "src": None}),
    "a template without a destination": with_task(template={"src": "x"}),
    "an env without a name": with_task(python_env={"lock": "x.lock"}),
    "an env with a path for a name": with_task(python_env={"name": "a/b"}),
    "an archive without a source": with_task(archive={"name": "x"}),
    "an archive with two sources": with_task(archive={"name": "x", "file": "x", "npm": "x", "sha256": "0" * 64}),
    "an archive without its pin": with_task(archive={"name": "x", "url": "https://example.com/x.zip"}),
    "an archive with half a pin": with_task(archive={"name": "x", "file": "x.zip", "sha256": "0" * 32}),
    "npm packages with a pin of their own": with_task(archive={"name": "x", "npm": "x", "sha256": "0" * 64}),
    "a daemon without service or label": with_task(daemon={"env": "node"}),
    "a daemon of an unknown service": with_task(daemon={"service": "gate", "env": "node"}),
    "a daemon with service and label": with_task(daemon={"service": "agent", "env": "node", "label": "x"}),
    "an OpenClaw without a token": with_task(
        daemon={"service": "openclaw", "runtime": "node", "package": "oc", "key": "file:k"}
    ),
    "a gateway without a role": with_task(daemon={"service": "gateway", "env": "node"}),
    "a gateway of an unknown role": with_task(daemon={"service": "gateway", "role": "back", "env": "node"}),
    "a sidecar without a port": with_task(daemon={k: v for k, v in SIDECAR.items() if k != "port"}),
    "a sidecar on port 0": with_task(daemon={**SIDECAR, "port": 0}),
    "a sidecar on port true": with_task(daemon={**SIDECAR, "port": True}),
    "a sidecar on a port in words": with_task(daemon={**SIDECAR, "port": "8800"}),
    "a reserve of no size": with_task(daemon={**SIDECAR, "kv_reserve": "lots"}),
    "a negative reserve": with_task(daemon={**SIDECAR, "kv_reserve": -1}),
    "an option that is a list": with_task(daemon={**SIDECAR, "options": {"a": [1]}}),
    "an environment of numbers": with_task(daemon={**SIDECAR, "environment": {"A": 1}}),
    "an own daemon with program and template": with_task(daemon={"label": "x", "program": ["/x"], "template": "y"}),
    "an own daemon without a program": with_task(daemon={"label": "x"}),
    "an own daemon with an empty program": with_task(daemon={"label": "x", "program": []}),
    "an own daemon that is kept sometimes": with_task(daemon={"label": "x", "program": ["/x"], "keep_alive": True}),
    "a command without a condition": with_task(command={"argv": ["/bin/ls"]}),
    "a command as text": with_task(command={"argv": "ls", "creates": "/x"}),
    "a command without words": with_task(command={"argv": [], "creates": "/x"}),
    "a span of no unit": with_task(command={**COMMAND, "timeout": "5 minutes"}),
    "a negative span": with_task(command={**COMMAND, "timeout": -5}),
    "a wait for nothing": with_task(wait_for={"timeout": "5s"}),
    "a wait for two things": with_task(wait_for={"port": 1, "path": "/x"}),
    "pmset with nothing": with_task(pmset={}),
    "pmset in words": with_task(pmset={"sleep": "never"}),
    "sysctl with a bare key": with_task(sysctl={"limit": 1}),
    "sysctl of a truth": with_task(sysctl={"a.b": True}),
    "an archive": with_task(archive={"url": "x"}),
    "a reboot": with_task(reboot={}),
    "hooks": with_play(hooks={}),
    "tags as text": with_task(directory={"path": "/x"}, tags="a"),
    "tags of numbers": with_task(directory={"path": "/x"}, tags=[1]),
    "sensitive in words": with_task(directory={"path": "/x"}, sensitive="yes"),
    "when as text": with_task(directory={"path": "/x"}, when="memory_gb > 64"),
    "when nothing": with_task(directory={"path": "/x"}, when={}),
    "when two things": with_task(directory={"path": "/x"}, when={"group": "a", "var": "x", "eq": 1}),
    "when a fact without comparison": with_task(directory={"path": "/x"}, when={"fact": "memory_gb"}),
    "when a fact that is none": with_task(directory={"path": "/x"}, when={"fact": "memory", "ge": 1}),
    "when a fact is defined": with_task(directory={"path": "/x"}, when={"fact": "chip", "defined": True}),
    "when a fact by an unknown comparison": with_task(directory={"path": "/x"}, when={"fact": "chip", "like": "M4"}),
    "when all of nothing": with_task(directory={"path": "/x"}, when={"all": []}),
    "when all is a mapping": with_task(directory={"path": "/x"}, when={"all": {"group": "a"}}),
    "when not a list": with_task(directory={"path": "/x"}, when={"not": [{"group": "a"}]}),
    "a strategy that is text": with_play(strategy="canary"),
    "a canary of minus one": with_play(strategy={"canary": -1}),
    "nobody may be away": with_play(strategy={"max_unavailable": 0}),
    "zero percent may be away": with_play(strategy={"max_unavailable": "0%"}),
    "more than all may be away": with_play(strategy={"max_unavailable": "101%"}),
    "an unknown end": with_play(strategy={"on_failure": "cry"}),
    "an end that nobody knows": with_play(strategy={"on_failure": "revert_most"}),
    "a confirmation by hand": with_play(strategy={"confirm": "manual"}),
    "a pause of a word": with_play(strategy={"pause": "lunch"}),
    "a strategy that differs by node": with_play(strategy={"healthy_deadline": "{{ vars.x }}"}),
    "a floor below zero": with_play(strategy={"floor": -1}),
    "a last copy of a word": with_play(strategy={"last_copy": "never"}),
    "an order": with_play(strategy={"order": "sorted"}),
    "health that is a mapping": with_play(health={"launchd": {"daemon": "agent"}}),
    "health of nothing": with_play(health=[{}]),
    "health of two kinds": with_play(health=[{"launchd": {"daemon": "a"}, "port": {"daemon": "a"}}]),
    "health of an unknown kind": with_play(health=[{"ping": {"daemon": "agent"}}]),
    "health with a key beside": with_play(health=[{"launchd": {"daemon": "agent"}, "within": "3s"}]),
    "http without a path": with_play(health=[{"http": {"daemon": "agent"}}]),
    "http of a relative path": with_play(health=[{"http": {"daemon": "agent", "path": "healthz"}}]),
}
