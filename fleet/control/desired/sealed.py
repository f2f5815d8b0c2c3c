"""What a secret file will hold, without holding it: what it follows from, and how it is made when a node lacks it.

A desired state names a secret by a digest that the node's salt keys. The digest is remembered (SecretMemo), so that a
deploy with nothing to do learns no secret at all (docs/decisions/0015).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fleet.errors import SupplyError
from fleet.vocabulary.contracts.desired import Blob
from fleet.vocabulary.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """A secret content by its `recipe` and the references that go into it; `make` learns them and makes it.

    `held_against` are references that it must not be equal to: they do not go into it. `derived` is what only fleet
    makes of secrets (a token, a ring of hashes): nobody could have written it down anywhere.
    """

    recipe: str
    references: tuple[str, ...]
    held_against: tuple[str, ...] = ()
    derived: bool = False
    make: Callable[[], Secret] = field(repr=False, compare=False)


class SecretMemo(Protocol):
    """What is known of sealed contents from runs before."""

    def recall(self, sealed: Sealed, *, salt: str) -> Blob | None:
        """The blob of a content whose references are still what they were."""
        ...

    def remember(self, sealed: Sealed, blob: Blob, *, salt: str) -> None:
        """Keep what was found, for as long as the references stay what they are."""
        ...

    def save(self) -> None:
        """Let the next run know."""
        ...


class NoMemo:
    """Remembers nothing: every content is made."""

    def recall(self, sealed: Sealed, *, salt: str) -> Blob | None:  # noqa: ARG002 (the protocol names them)
        """Nothing."""
        return None

    def remember(self, sealed: Sealed, blob: Blob, *, salt: str) -> None:
        """Nothing is kept."""

    def save(self) -> None:
        """Nothing to save."""


@dataclass(frozen=True, kw_only=True)
class SealedBlob:
    """A sealed content as one node is sent it. Called, it gives the secret, which is what its digest says."""

    sealed: Sealed
    blob: Blob
    salt: str = field(repr=False)

    @property
    def references(self) -> tuple[str, ...]:
        """What the content follows from."""
        return self.sealed.references

    def __call__(self) -> Secret:
        """The secret itself. Raises SupplyError when it cannot be had, or is another one by now."""
        secret = self.sealed.make()
        if secret.digest(self.salt) != self.blob.digest:
            raise SupplyError(
                f"secret {', '.join(self.references)}: it is not what it was when its digest was taken",
                hint="the same command with --refresh-secrets looks at every secret anew",
            )
        return secret


def as_it_is(reference: str, secrets: Mapping[str, Secret]) -> Sealed:
    """The content that is the secret itself."""
    return Sealed(recipe="itself", references=(reference,), make=lambda: secrets[reference])
