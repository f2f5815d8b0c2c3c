"""What a bundle says of itself: `bundle.json`, its first member. Schema 1.

It holds no time and no path of this machine, so one project gives one bundle.
"""

from __future__ import annotations

import msgspec

from fleet.control.supply.platforms import machine_of


class BundledBlob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member `blobs/HEX`, where `digest` is `sha256:HEX`."""

    digest: str
    size: int


class BundledEnv(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A built env. `machine` is what else its `platform` means (platforms.machine_of)."""

    name: str
    lock_sha256: str
    python_version: str
    platform: str
    digest: str
    os_version: str | None = None
    machine: tuple[str, ...] = ()


class BundledPython(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A standalone interpreter."""

    python_version: str
    platform: str
    digest: str
    machine: tuple[str, ...] = ()


class BundledArchive(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An unpacked archive or an npm tree, packed anew. `sha256` is its pin's, `platform` an npm tree's."""

    name: str
    sha256: str
    digest: str
    strip: int = 0
    npm: bool = False
    platform: str | None = None
    machine: tuple[str, ...] = ()


class BundledModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of the project, by its manifest's digest; `weights` says whether its files are in the bundle."""

    name: str
    digest: str
    weights: bool


class BundleIndex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole bundle. `app` and `sync` are digests of fleet's own parts for nodes."""

    fleet_version: str
    app: str
    sync: str
    blobs: tuple[BundledBlob, ...]
    envs: tuple[BundledEnv, ...] = ()
    pythons: tuple[BundledPython, ...] = ()
    models: tuple[BundledModel, ...] = ()
    archives: tuple[BundledArchive, ...] = ()
    schema: int = 1

    @property
    def named(self) -> frozenset[str]:
        """The digests that something of the index stands on."""
        envs, pythons = [one.digest for one in self.envs], [one.digest for one in self.pythons]
        archives = [one.digest for one in self.archives]
        return frozenset([self.app, self.sync, *envs, *pythons, *archives])


def machine_words(platform: str) -> tuple[str, ...]:
    """`machine` of an env or interpreter that was built here."""
    return tuple(machine_of(platform))
