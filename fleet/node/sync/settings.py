"""pmset and sysctl: read, set, read back. Exit 0 means nothing (FACTS section 6.10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.desired import Item, Pmset, Sysctl
from fleet.vocabulary.macos.pmset import parse_pmset
from fleet.vocabulary.macos.sysctl import parse_sysctl


def read_settings(machine: Machine, items: tuple[Item, ...]) -> dict[str, str]:
    """The live value of every setting that the items name, by `pmset:KEY` or `sysctl:KEY`; unknown ones are absent."""
    return read_named(machine, [name for item in items if isinstance(item, Pmset | Sysctl) for name in wanted(item)])


def read_named(machine: Machine, names: Iterable[str]) -> dict[str, str]:
    """The live values of settings, by these names; unknown ones are absent."""
    keys = sorted({(kind, key) for kind, _, key in (name.partition(":") for name in names)})
    power = _read_pmset(machine) if any(kind == "pmset" for kind, _ in keys) else {}
    found = ((f"{kind}:{key}", power.get(key) if kind == "pmset" else _read_sysctl(machine, key)) for kind, key in keys)
    return {name: value for name, value in found if value is not None}


def wanted(item: Pmset | Sysctl) -> dict[str, str]:
    """What the item asks for, by the names of `read_settings`."""
    return {f"{item.kind}:{key}": str(value) for key, value in item.settings.items()}


def differing(item: Pmset | Sysctl, live: Mapping[str, str]) -> dict[str, str]:
    """The settings to change. A power setting that this model lacks is left alone; an unknown kernel key is not."""
    return {
        name: value
        for name, value in wanted(item).items()
        if live.get(name) != value and (name in live or isinstance(item, Sysctl))
    }


def change(machine: Machine, name: str, value: str) -> None:
    """Set one and read it back. Raises Problem when it did not take."""
    kind, key = name.split(":", 1)
    if kind == "pmset":
        ran = machine.command("pmset", "-a", key, value)
        now = _read_pmset(machine).get(key)
    else:
        ran = machine.command("sysctl", f"{key}={value}")
        now = _read_sysctl(machine, key)
    if now != value:
        raise Problem(
            f"{kind} {key} is still {now or 'unknown'}, not {value}",
            code="setting",
            detail=ran.said or f"{kind} ended with {ran.code} and said nothing",
            hint=f"this Mac may not have the setting: look at `{kind} {'-g custom' if kind == 'pmset' else key}`",
        )


def command_words(name: str, value: str) -> tuple[str, ...]:
    """What `change` types, without the path of the command."""
    kind, key = name.split(":", 1)
    return (kind, "-a", key, value) if kind == "pmset" else (kind, f"{key}={value}")


def _read_pmset(machine: Machine) -> dict[str, str]:
    """One value per key; different values under two power sources become `a|b`, which equals no wish."""
    ran = machine.command("pmset", "-g", "custom")
    merged: dict[str, list[str]] = {}
    for section in parse_pmset(ran.out).sections.values():
        for key, value in section.items():
            merged.setdefault(key, []).append(value)
    return {key: "|".join(dict.fromkeys(values)) for key, values in merged.items()}


def _read_sysctl(machine: Machine, key: str) -> str | None:
    ran = machine.command("sysctl", key)
    return parse_sysctl(ran.out).get(key)
