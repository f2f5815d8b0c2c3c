"""Whether what a pattern found is what it looks like: checksums, decoding, entropy. Total: odd bytes are no match."""

from __future__ import annotations

import binascii
import math
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType

import msgspec

Validator = Callable[[bytes], bool]

_CARD_LENGTHS = (
    (("34", "37"), (15,)),
    (("300", "301", "302", "303", "304", "305", "36", "38", "39"), (14, 16, 19)),
    (("4",), (16, 19)),
    (("51", "52", "53", "54", "55", "22", "23", "24", "25", "26", "27"), (16,)),
    (("6011", "64", "65", "62", "81"), (16, 17, 18, 19)),
    (("35",), (16, 17, 18, 19)),
    (("50", "56", "57", "58", "6304", "67"), (16, 17, 18, 19)),
)
_SHORTEST_CARD = 14
_IBAN_COUNTRIES = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 "
    "RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
)
_IBAN_LENGTHS = {code[:2]: int(code[2:]) for code in _IBAN_COUNTRIES.split()}
_PLACEHOLDERS = ("pass", "secret", "changeme", "example", "redacted", "hidden", "token", "your", "my", "the")
_NO_ONES_MAIL = ("@example.", ".example", "@users.noreply.", "noreply@", "no-reply@", "git@", "@localhost", ".local")
_LEAST_BITS = 3.4
_LEAST_BITS_OF_HEX = 2.9
_LEAST_MIXED = 0.2


def luhn(found: bytes) -> bool:
    """A payment card: its issuer's range, its length and its check digit. Other numbers may stand before and after."""
    groups = found.decode("ascii", "replace").replace("-", " ").split()
    for start in range(len(groups)):
        digits = ""
        for group in groups[start:]:
            digits += group
            if len(digits) >= _SHORTEST_CARD and _is_card(digits):
                return True
    return False


def iban(found: bytes) -> bool:
    """An account: the length of its country, and ISO 7064's remainder 1 by 97."""
    text = found.decode("ascii", "replace").replace(" ", "").upper()
    length = _IBAN_LENGTHS.get(text[:2], 0)
    text = text[:length]  # a word may follow after a space
    if not length or len(text) != length or not text.isalnum() or not text.isascii():
        return False
    return int("".join(str(int(sign, 36)) for sign in text[4:] + text[:4])) % 97 == 1


def jwt(found: bytes) -> bool:
    """A JSON web token: its header decodes to an object with an algorithm."""
    head = found.split(b".", 1)[0]
    try:
        header = msgspec.json.decode(urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header


def entropy(found: bytes) -> bool:
    """What a generator made: letters and digits well mixed, unlike words, versions, paths and names of code."""
    text = found.decode("utf-8", "replace").strip("=.-_/")
    if len(text) < 16 or not any(sign.isdigit() for sign in text) or not any(sign.isalpha() for sign in text):
        return False
    hexadecimal = not set(text.lower()) - set("0123456789abcdef-")
    return _mixed(text) > _LEAST_MIXED and _bits(text) >= (_LEAST_BITS_OF_HEX if hexadecimal else _LEAST_BITS)


def password(found: bytes) -> bool:
    """What stands for a password and is no placeholder (`<password>`, `$PASSWORD`, `****`, `changeme`)."""
    text = found.decode("utf-8", "replace").lower()
    if len(set(text)) < 3 or text[0] in "<${[%*" or text.endswith((">", "}", "]")):
        return False
    return not text.startswith(_PLACEHOLDERS)


def mail(found: bytes) -> bool:
    """Somebody's address, and not one of documentation or of a machine."""
    text = found.decode("ascii", "replace").lower()
    return not any(part in text for part in _NO_ONES_MAIL)


VALIDATORS: Mapping[str, Validator] = MappingProxyType(
    {"luhn": luhn, "iban": iban, "jwt": jwt, "entropy": entropy, "password": password, "mail": mail}
)
"""By the names that rules use."""


def _is_card(digits: str) -> bool:
    if not any(digits.startswith(starts) and len(digits) in lengths for starts, lengths in _CARD_LENGTHS):
        return False
    if len(set(digits)) < 2:
        return False
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(int(digit) for digit in digits[::-2]) + sum(doubled)) % 10 == 0


def _bits(text: str) -> float:
    """Shannon's entropy of one sign."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _mixed(text: str) -> float:
    """How often the next letter or digit is of another kind (small, capital, digit): 0.4 to 0.6 of what is random."""
    kinds = [sign.isdigit() * 2 + sign.isupper() for sign in text if sign.isalnum()]
    return sum(kind != after for kind, after in pairwise(kinds)) / max(len(kinds) - 1, 1)
