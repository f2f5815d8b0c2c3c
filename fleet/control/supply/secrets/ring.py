"""`keyring:SERVICE/NAME`: the system's keyring, by the package `keyring`. On a Mac it is the login keychain.

It has no version that could be seen without the value, so it is asked each time: it is on this machine.
"""

from __future__ import annotations

import queue
import threading

from fleet.control.inventory.secretrefs import KeyringRef
from fleet.errors import SupplyError

_DEADLINE_SECONDS = 60.0


def read_keyring(reference: str, ref: KeyringRef, *, deadline_seconds: float = _DEADLINE_SECONDS) -> str:
    """The value. Raises SupplyError."""
    put = f"keyring set {ref.service} {ref.name} puts it there"
    try:
        import keyring
    except ImportError:
        raise SupplyError(f"secret {reference}: the package keyring is not here", hint="pip install keyring") from None
    answers: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(keyring.get_password(ref.service, ref.name))
        except Exception as error:  # noqa: BLE001 (a backend raises whatever its system does)
            answers.put(error)

    # A daemon thread: a keyring that waits for a person who is not there cannot be ended.
    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=deadline_seconds)
    except queue.Empty:
        raise SupplyError(
            f"secret {reference}: the keyring did not answer within {deadline_seconds:.0f} s",
            hint="it may have waited for you: unlock it, then try again",
        ) from None
    if isinstance(answer, Exception):
        # The name of the class alone: a backend's words are not ours to show.
        raise SupplyError(
            f"secret {reference}: the keyring gives nothing ({type(answer).__name__})",
            hint=f"unlock it, or see with: keyring get {ref.service} {ref.name}",
        )
    if answer is None:
        raise SupplyError(f"secret {reference}: the keyring does not know it", hint=put)
    value = answer.rstrip("\r\n")
    if not value:
        raise SupplyError(f"secret {reference}: empty", hint=put)
    return value
