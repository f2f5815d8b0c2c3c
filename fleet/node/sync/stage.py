"""Staging: blobs become contents and trees under their own addresses. Nothing live changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from fleet.node.sync import releases
from fleet.node.sync.blobs import Blobs
from fleet.node.sync.launchd import Launchd
from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem
from fleet.node.sync.staging import Staging
from fleet.vocabulary.contracts.desired import Blob, Daemon, DesiredState, File, Tree
from fleet.vocabulary.contracts.sync import Progress

_COMPILE_SECONDS = 600.0
_ORDER = {"python": 0, "env": 1, "app": 2, "model": 3, "archive": 4}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Brings one state onto the machine's disk. `proceed` is asked before each step, and raises to stop it.

    `told` hears how far it is.
    """

    machine: Machine
    state: DesiredState
    proceed: Callable[[], None] = lambda: None
    told: Callable[[Progress], None] = lambda _: None

    def run(self) -> None:
        """Put every content and tree in place and write the record of the release. Raises Problem."""
        blobs = Blobs(machine=self.machine, state=self.state)
        missing = blobs.missing()
        if missing:
            raise Problem(f"{len(missing)} blobs are still missing", code="protocol", detail=missing[0].digest)
        blobs.require_space(())
        self._contents()
        self._trees()
        self._lint()
        self.proceed()
        releases.save(self.machine, self.state)

    def weights(self) -> None:
        """Put the trees alone in place. Raises Problem."""
        missing = Blobs(machine=self.machine, state=self.state).missing()
        if missing:
            raise Problem(f"{len(missing)} blobs are still missing", code="protocol", detail=missing[0].digest)
        self._trees()

    def _contents(self) -> None:
        layout, disk = self.machine.layout, self.machine.disk
        disk.directory(f"{layout.root}/files", mode=0o700)
        shared = {blob.digest for item in self.state.items if isinstance(item, Tree) for blob in _blobs(item)}
        for item in self.state.items:
            if isinstance(item, File | Daemon):
                blob = item.blob if isinstance(item, File) else item.plist
                if disk.stat(layout.content(blob.hex)).size == blob.size:
                    continue
                self.proceed()
                if blob.digest in shared:
                    disk.copy(layout.blob(blob.hex), layout.content(blob.hex), mode=0o600)
                else:
                    disk.rename(layout.blob(blob.hex), layout.content(blob.hex))

    def _trees(self) -> None:
        trees = [item for item in self.state.items if isinstance(item, Tree)]
        todo = [item for item in trees if self.machine.disk.stat(item.path).kind != "directory"]
        uses = Counter(blob.digest for item in todo for blob in _blobs(item))
        total = sum(blob.size for item in todo for blob in _blobs(item))
        staging = Staging(total=total, told=self.told, clock=self.machine.clock)
        for item in sorted(todo, key=lambda item: _ORDER[item.role]):
            if self.machine.disk.stat(item.path).kind == "directory":
                continue
            self.proceed()
            staging.begin(f"unpack {item.role} {item.name}")
            aside = f"{item.path}.new"
            self.machine.disk.remove_tree(aside)
            self.machine.disk.directory(aside)
            if item.archive is not None:
                from fleet.node.sync.unpack import unpack

                unpack(self.machine.layout.blob(item.archive.hex), aside, wrote=staging.wrote)
            for file in item.files:
                uses[file.blob.digest] -= 1
                self._tree_file(aside, file.path, file.blob, file.mode, last=not uses[file.blob.digest])
                staging.wrote(file.blob.size)
            if item.compile:
                staging.begin(f"compile {item.role} {item.name}")
                self._compile(item, aside)
            self.machine.disk.settle_all()
            self.proceed()
            self.machine.disk.rename(aside, item.path)
        for digest in uses:
            self.machine.disk.remove(self.machine.layout.blob(digest.split(":", 1)[1]))

    def _tree_file(self, folder: str, name: str, blob: Blob, mode: int, *, last: bool) -> None:
        """A file of a tree: its blob moves in, or is copied while others need it too."""
        disk, source, path = self.machine.disk, self.machine.layout.blob(blob.hex), f"{folder}/{name}"
        disk.directory(path.rsplit("/", 1)[0])
        if last:
            disk.rename(source, path)
            disk.own(path, mode=mode, owner="", group="")
        else:
            disk.copy(source, path, mode=mode)

    def _compile(self, item: Tree, aside: str) -> None:
        """Bytecode for the interpreter that will run it. Packages hold files of other Pythons: an error is no error.

        The content never changes under its address, so the bytecode is not checked against the sources' times.
        """
        interpreter = item.interpreter or self.state.interpreter
        words = (interpreter, "-I", "-S", "-m", "compileall", "-q", "-s", aside, "-p", item.path)
        self.machine.host.run(
            (*words, "--invalidation-mode", "unchecked-hash", aside), timeout_seconds=_COMPILE_SECONDS
        )

    def _lint(self) -> None:
        launchd = Launchd(machine=self.machine)
        for daemon in self.state.daemons:
            ran = launchd.lint(self.machine.layout.content(daemon.plist.hex))
            if ran.code:
                raise Problem(f"plutil refuses the plist of {daemon.label}", code="plist", detail=ran.said)


def _blobs(item: Tree) -> list[Blob]:
    return [file.blob for file in item.files] + ([item.archive] if item.archive else [])
