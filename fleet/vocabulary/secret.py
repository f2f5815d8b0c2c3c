"""A value that cannot be printed. Standard library only."""

from __future__ import annotations


class Secret:
    """Text that shows as *** in str, repr, format, f-strings, logs and msgspec. `reveal()` is the only way in."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself. Call it where it is sent, nowhere else."""
        return self._value

    def digest(self, salt: str) -> str:
        """How the secret enters a desired state: `hmac-sha256:` and 64 hex digits, keyed by the node's salt."""
        return hmac_digest(salt, self._value.encode())

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        import hmac  # here, since OpenSSL comes with it: 4 MB of an agent that only holds a token

        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never pickled")


def hmac_digest(salt: str, content: bytes) -> str:
    """`hmac-sha256:` and 64 hex digits of `content` under `salt`."""
    import hashlib  # here as well
    import hmac

    return "hmac-sha256:" + hmac.new(salt.encode(), content, hashlib.sha256).hexdigest()
