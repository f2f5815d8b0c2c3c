"""The files that a Prometheus reads: targets, certificates, its key. Each is replaced whole: it reads meanwhile."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from fleet.control.actions.edge_certificates import bundle, gathered
from fleet.control.actions.gateways import GatewayNode
from fleet.control.actions.scrape import AUTHORITIES_NAME, Job, targets_json
from fleet.control.inventory.project import Project
from fleet.control.link.protocol import Link
from fleet.control.supply.secrets import SecretStore
from fleet.errors import FleetError, UsageError
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.tokens import metrics_key

SECRET_MODE = 0o600
_OPEN_MODE = 0o644


class ScrapeFiles:
    """A folder for Prometheus. A file that says the same already is left alone; one that is there keeps its owner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def renew(
        self,
        gateways: Sequence[GatewayNode],
        jobs: Sequence[Job],
        *,
        project: Project,
        link: Link,
        now: datetime,
    ) -> Mapping[NodeName, FleetError]:
        """Write everything; which nodes have no certificate, and why: Prometheus will say that they are down.

        Raises SupplyError without the fleet key, UsageError when the folder cannot be written.
        """
        secrets = SecretStore(project)
        keys = {job.key_name: metrics_key(secrets[job.reference]) for job in jobs}
        found = gathered(gateways, link=link, base=project.root, now=now, known=self._read(AUTHORITIES_NAME))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._put(AUTHORITIES_NAME, bundle(one for one in found.values() if isinstance(one, bytes)))
            for name, key in keys.items():
                self._put(name, key.reveal().encode(), mode=SECRET_MODE)
            for job in jobs:  # last: a target that is new is scraped at once
                self._put(job.targets_name, targets_json(job.gateways))
        except OSError as error:
            raise UsageError(
                f"{self.folder} cannot be written: {(error.strerror or str(error)).lower()}",
                hint="--out DIR names a folder that you and Prometheus can read",
            ) from None
        return {name: one for name, one in found.items() if isinstance(one, FleetError)}

    def _read(self, name: str) -> bytes:
        with suppress(OSError):
            return (self.folder / name).read_bytes()
        return b""

    def _put(self, name: str, data: bytes, *, mode: int = _OPEN_MODE) -> None:
        path = self.folder / name
        with suppress(FileNotFoundError):
            before = path.stat()
            if path.read_bytes() == data and before.st_mode & 0o777 == mode:
                return
        descriptor, part = tempfile.mkstemp(dir=self.folder, prefix=f".{name}-")  # 0600 from its first moment on
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                with suppress(OSError):
                    before = path.stat()
                    os.fchown(descriptor, before.st_uid, before.st_gid)
                os.fchmod(descriptor, mode)
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
