"""Needs to Supplies: everything that the desired states of this run are made from, had once, in parallel."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from fleet.control.desired.supplies import Needs, Supplies
from fleet.control.inventory.project import Project
from fleet.control.supply.archives import build_archive
from fleet.control.supply.cache import Cache
from fleet.control.supply.envs import build_env
from fleet.control.supply.filedigests import StatDigests
from fleet.control.supply.interpreters import fetch_interpreter
from fleet.control.supply.models import read_manifest
from fleet.control.supply.nodepart import app_archive
from fleet.control.supply.secrets import SecretStore
from fleet.control.supply.secrets.digests import SecretDigests
from fleet.control.supply.uvtool import uv_path

if TYPE_CHECKING:
    from fleet.control.supply.bundle import Bundle


def resolve(
    needs: Needs,
    *,
    project: Project,
    cache: Cache,
    bundle: Bundle | None = None,
    notify: Callable[[str], None] = lambda _: None,
    refresh_secrets: bool = False,
) -> Supplies:
    """Every need answered. Raises SupplyError or ConfigError for the first that cannot be.

    With a bundle nothing is fetched or built: it answers everything but the secrets. `notify` hears of what takes
    long, from several threads. Secrets are learnt here when they are new or may have changed, the others only where a
    value is needed; `refresh_secrets` learns all.
    """
    secrets = SecretStore(project, [need.reference for need in needs.secrets])
    memo = SecretDigests(project.state_dir / "secrets.json", secrets.versions(), refresh=refresh_secrets)
    secrets.learn(memo.new_ones())
    if bundle is not None:
        return replace(bundle.supplies(needs, cache=cache), secrets=secrets, memo=memo, digests=StatDigests(cache))
    uv_path()  # sysconfig's first use is not safe in several threads at once (CPython 3.11)
    models = {need: read_manifest(need.manifest_path) for need in needs.models}
    with ThreadPoolExecutor(4) as pool:  # uv itself is parallel; four hide its waits for the network
        envs = [(need, pool.submit(build_env, need, cache=cache, notify=notify)) for need in needs.envs]
        pythons = [
            (need, pool.submit(fetch_interpreter, need, cache=cache, notify=notify)) for need in needs.interpreters
        ]
        archives = [(need, pool.submit(build_archive, need, cache=cache, notify=notify)) for need in needs.archives]
        app = pool.submit(app_archive, cache)
        return Supplies(
            app=app.result(),
            envs={need: future.result() for need, future in envs},
            archives={need: future.result() for need, future in archives},
            interpreters={need: future.result() for need, future in pythons},
            models=models,
            secrets=secrets,
            memo=memo,
            digests=StatDigests(cache),
        )
