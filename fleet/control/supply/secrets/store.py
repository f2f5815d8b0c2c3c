"""Secrets by reference: several at once, each with a deadline, and what costs a call asked once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from fleet.control.inventory.project import Project
from fleet.control.inventory.secretrefs import (
    EnvRef,
    FileRef,
    KeyringRef,
    OnePasswordRef,
    SecretRef,
    SopsRef,
    parse_secret_ref,
    path_of,
)
from fleet.control.supply.secrets.environment import read_variable
from fleet.control.supply.secrets.file import read_file, version_of_file
from fleet.control.supply.secrets.onepassword import OnePassword
from fleet.control.supply.secrets.ring import read_keyring
from fleet.control.supply.secrets.sops import read_sops, version_of_sops
from fleet.control.supply.secrets.version import Version
from fleet.errors import FleetError, SupplyError
from fleet.vocabulary.secret import Secret

T = TypeVar("T")

_WIDTH = 8


class SecretStore(Mapping[str, Secret]):
    """The secrets of `references` by reference; any other can be asked for as well. Safe for several threads.

    Nothing is looked up before it is asked for. Files and variables are read each time, so that somebody who looks
    for hours sees a change; what another program or the keyring gives is asked once.
    """

    def __init__(
        self, project: Project, references: Iterable[str] = (), *, environ: Mapping[str, str] | None = None
    ) -> None:
        self._root = project.root
        self._environ = os.environ if environ is None else environ
        self._references = tuple(dict.fromkeys(references))
        self._onepassword = OnePassword(self._environ)
        self._lock = threading.Lock()
        self._asked: dict[str, Future[Secret]] = {}

    def __getitem__(self, reference: str) -> Secret:
        """The secret itself. Raises SupplyError, which never shows it."""
        ref = parse_secret_ref(reference)
        if isinstance(ref, EnvRef | FileRef):
            return Secret(self._look_up(reference, ref))
        with self._lock:
            future = self._asked.get(reference)
            mine = future is None
            if future is None:
                future = self._asked[reference] = Future()
        if mine:
            try:
                future.set_result(Secret(self._look_up(reference, ref)))
            except BaseException as error:
                future.set_exception(error)
                raise
        return future.result()

    def __iter__(self) -> Iterator[str]:
        return iter(self._references)

    def __len__(self) -> int:
        return len(self._references)

    def __contains__(self, reference: object) -> bool:
        return reference in self._references

    def version(self, reference: str) -> Version | None:
        """How to see that it is still the same; None where only the value says so. Raises SupplyError."""
        match parse_secret_ref(reference):
            case FileRef(path):
                return version_of_file(reference, path_of(path, self._root))
            case SopsRef(path, _):
                return version_of_sops(reference, path_of(path, self._root))
            case OnePasswordRef() as ref:
                return self._onepassword.version(ref)
            case EnvRef() | KeyringRef():
                return None

    def learn(self, references: Iterable[str]) -> None:
        """Have these at hand, several at once. Raises SupplyError that names every one that cannot be had."""
        raise_all(self.each(references, self.__getitem__).values())

    def versions(self) -> Mapping[str, Version | None]:
        """The versions of all references. Raises SupplyError that names every one that has none to give."""
        found = self.each(self._references, self.version)
        raise_all(found.values())
        return {name: one for name, one in found.items() if not isinstance(one, FleetError)}

    def each(self, references: Iterable[str], work: Callable[[str], T]) -> dict[str, T | SupplyError]:
        """What `work` gives for each of them, or why it does not."""
        names = tuple(dict.fromkeys(references))
        if not names:
            return {}

        def one(reference: str) -> T | SupplyError:
            try:
                return work(reference)
            except SupplyError as error:
                return error

        with ThreadPoolExecutor(min(_WIDTH, len(names)), thread_name_prefix="fleet-secret") as pool:
            return dict(zip(names, pool.map(one, names), strict=True))

    def _look_up(self, reference: str, ref: SecretRef) -> str:
        match ref:
            case EnvRef():
                return read_variable(ref, self._environ)
            case FileRef(path):
                return read_file(reference, path_of(path, self._root))
            case KeyringRef():
                return read_keyring(reference, ref)
            case OnePasswordRef():
                return self._onepassword.read(ref)
            case SopsRef(path, _):
                return read_sops(reference, ref, path_of(path, self._root), self._environ)


def resolve_secret(reference: str, project: Project, *, environ: Mapping[str, str] | None = None) -> Secret:
    """One secret. Raises SupplyError, which never shows it."""
    return SecretStore(project, environ=environ)[reference]


def raise_all(found: Iterable[object]) -> None:
    """Raise the SupplyErrors among these, as one."""
    errors = [one for one in found if isinstance(one, SupplyError)]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        hints = dict.fromkeys(error.hint for error in errors if error.hint)
        raise SupplyError(
            f"{len(errors)} secrets cannot be had",
            detail="\n".join(
                error.title + "".join(f"\n  {line}" for line in error.detail.splitlines()) for error in errors
            ),
            hint="\n".join(hints),
        )
