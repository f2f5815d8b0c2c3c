"""Doctor's checks of OpenClaw as a service: whether it is ready, what its files say, what stands beside them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.clients.openclaw import PROVIDER, variables_of
from fleet.control.actions.doctor_findings import (
    Check,
    Remedy,
    Situation,
    Verdict,
    critical,
    good,
    on_laptop,
    on_node,
    warn,
)
from fleet.control.actions.openclaw_probe import OpenClawSeen
from fleet.vocabulary.argv import Argv

_OK = 200


def _ready(at: Situation) -> Iterator[Verdict]:
    seen = at.readings.openclaw
    if seen is None:
        return
    if seen.program_there is False:
        yield critical(f"OpenClaw's Node.js is not there ({seen.program})", _deploy(at))
    elif seen.ready == _OK:
        yield good("OpenClaw is ready")
    elif seen.ready:
        failing = f": {', '.join(seen.failing)}" if seen.failing else ""
        yield warn(
            f"OpenClaw runs and is not ready ({seen.ready}){failing}",
            on_node_as_anyone(
                Argv.of("/usr/bin/curl", "-s", f"http://127.0.0.1:{seen.port}/readyz"),
                words="a channel or its database is not well: mend that account; a restart mends nothing",
            ),
        )
    elif seen.ready == 0 or seen.faults:
        yield _silent(at, seen)
    else:
        yield at.unknown("whether OpenClaw is ready", "openclaw.ready")


def _silent(at: Situation, seen: OpenClawSeen) -> Verdict:
    """Nobody answers: by what its log says, else its last lines."""
    layout = at.node.settings.layout()
    if "port-taken" in seen.faults:
        look = at.command("lsof", "-nP", f"-iTCP:{seen.port}", "-sTCP:LISTEN")
        return critical(f"OpenClaw's port {seen.port} is held by somebody else", on_node(look, situation=at))
    if "no-mode" in seen.faults:
        return critical("OpenClaw does not start: its file has no gateway.mode", _deploy(at))
    if "no-environment" in seen.faults:
        return critical("OpenClaw does not start: etc/openclaw.env is not there", _deploy(at))
    if "invalid-config" in seen.faults:
        words = "look at `settings` of its task: OpenClaw refuses the whole file for one unknown key"
        return critical("OpenClaw does not start: it refuses its file", _deploy(at, words=words))
    tail = Argv.of("/usr/bin/tail", "-n", 40, layout.log("openclaw.log"))
    return critical(f"nobody answers on OpenClaw's port {seen.port}", on_node(tail, situation=at))


def _config(at: Situation) -> Iterator[Verdict]:
    seen = at.readings.openclaw
    if seen is None:
        return
    if seen.config is None:
        yield at.unknown("what etc/openclaw.json says", "openclaw.config")
        return
    wrong = list(_wrong_in(seen.config, seen))
    for what in wrong:
        yield critical(what, _deploy(at))
    if not wrong and seen.variables is None:
        yield at.unknown("whether every variable of etc/openclaw.json is set", "openclaw.env")
    elif not wrong:
        yield good("OpenClaw's file is the fleet's, and every variable of it is set")


def _wrong_in(config: Mapping[str, Any], seen: OpenClawSeen) -> Iterator[str]:
    if _at(config, "gateway", "mode") != "local":
        yield "etc/openclaw.json has no gateway.mode: OpenClaw takes it for damaged and does not start"
    providers = _at(config, "models", "providers")
    for name, entry in providers.items() if isinstance(providers, Mapping) else ():
        if isinstance(entry, Mapping) and "localService" in entry:
            yield f"provider {name} has a localService: OpenClaw starts a model server beside fleet's sidecars"
    if not isinstance(_at(config, "models", "providers", PROVIDER), Mapping):
        yield "etc/openclaw.json does not know the fleet as a provider"
    if seen.variables is not None:
        for name in sorted(variables_of(config) - seen.variables - seen.told):
            yield f"${{{name}}} of etc/openclaw.json is set nowhere: what it stands for does not work"


def _leftovers(at: Situation) -> Iterator[Verdict]:
    seen = at.readings.openclaw
    if seen is None or seen.config is None:
        return
    wanted = _at(seen.config, "models", "providers", PROVIDER, "baseUrl")
    for one in seen.leftovers:
        other = one.base_url if one.base_url not in (None, wanted) else None
        if other or one.own_key:
            what = f"asks {other}" if other else "has a key of its own"
            words = "then restart it; OpenClaw writes the file anew"
            yield warn(
                f"{one.path}: its provider {PROVIDER} {what}, and may win over etc/openclaw.json",
                on_node(Argv.of("/bin/mv", one.path, f"{one.path}.off"), situation=at, words=words),
            )


def on_node_as_anyone(*commands: Argv, words: str = "") -> Remedy:
    """Commands for the node that want no root."""
    return Remedy(commands=commands, words=words)


def _deploy(at: Situation, *, words: str = "") -> Remedy:
    return on_laptop("deploy", "openclaw.yml", "--on", at.node.name, advice=words)


def _at(config: object, *path: str) -> Any:
    for name in path:
        config = config.get(name) if isinstance(config, Mapping) else None
    return config


OPENCLAW = (
    Check(
        id="openclaw-ready",
        title="OpenClaw answers",
        why="That it runs says nothing: it may refuse its file, wait for its port, or have lost a channel.",
        source="SPEC 3.5, 4.4",
        fix="`fleet deploy openclaw.yml --on NODE`; the account that /readyz names; whoever holds its port",
        judge=_ready,
    ),
    Check(
        id="openclaw-config",
        title="OpenClaw's file",
        why="Without gateway.mode it does not start; with an unset variable fronts answer 401, and it shuts the "
        "provider off for a minute; a localService is a second model server.",
        source="SPEC 4.4",
        fix="`fleet deploy openclaw.yml --on NODE`",
        judge=_config,
    ),
    Check(
        id="openclaw-models",
        title="OpenClaw's generated models.json",
        why="An address or key of an earlier installation in it may win over the configuration.",
        source="SPEC 4.4",
        fix="`sudo mv MODELS_JSON MODELS_JSON.off`, and restart it",
        judge=_leftovers,
    ),
)
