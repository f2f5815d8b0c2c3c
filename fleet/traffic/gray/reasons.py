"""Why a request does not go gray. A client never learns of it: it is served by the proven route. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fleet.vocabulary.names import Sensitivity


class NotGray(StrEnum):
    """The reasons: of the request, of the pool, of the credit."""

    KEY = "key"
    LABEL = "label"
    UNTAGGED = "untagged"
    PARTS = "parts"
    NOT_CLEAN = "not_clean"
    OFF = "off"
    ROLLED_BACK = "rolled_back"
    SUSPENDED = "suspended"
    GONE = "gone"
    PROVEN = "proven"
    CREDIT = "credit"
    TOKEN_CREDIT = "token_credit"

    @property
    def sentence(self) -> str:
        """For people."""
        return _SENTENCES[self]

    @property
    def of_request(self) -> bool:
        """Whether it makes the request ineligible, whatever the pool has."""
        return self in _OF_REQUEST


_SENTENCES = {
    NotGray.KEY: "its key is not for the gray pool",
    NotGray.LABEL: "it is not labelled public",
    NotGray.UNTAGGED: "it names no repository, and the pool takes none without",
    NotGray.PARTS: "it holds an image, a file or audio, which nothing here can scan",
    NotGray.NOT_CLEAN: "its text was not scanned clean",
    NotGray.OFF: "the pool is switched off",
    NotGray.ROLLED_BACK: "the pool is rolled back: its tool calls failed more than the week before",
    NotGray.SUSPENDED: "the pool is suspended after failures in a row",
    NotGray.GONE: "the provider has the model no more",
    NotGray.PROVEN: "a proven upstream had begun to answer it",
    NotGray.CREDIT: "the pool has had its share of the requests",
    NotGray.TOKEN_CREDIT: "the pool has had its share of the tokens",
}
_OF_REQUEST = frozenset({NotGray.KEY, NotGray.LABEL, NotGray.UNTAGGED, NotGray.PARTS, NotGray.NOT_CLEAN})


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a request decides whether it may go gray.

    `label` is its effective one, `key_gray` whether its key is for the pool, `tagged` whether it names a repository,
    `only_text` whether it has no other part, `clean` whether every byte of its text was scanned and nothing found.
    """

    label: Sensitivity
    key_gray: bool
    tagged: bool
    only_text: bool
    clean: bool


def ineligible(traits: Traits, *, unlabelled: bool = False) -> NotGray | None:
    """Why a request may never go gray; None when it may. `unlabelled` waives the repository's tag."""
    if not traits.key_gray:
        return NotGray.KEY
    if traits.label is not Sensitivity.PUBLIC:
        return NotGray.LABEL
    if not (traits.tagged or unlabelled):
        return NotGray.UNTAGGED
    if not traits.only_text:
        return NotGray.PARTS
    return None if traits.clean else NotGray.NOT_CLEAN
