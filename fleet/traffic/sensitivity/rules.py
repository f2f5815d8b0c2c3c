"""Rules: what a secret looks like. fleet's own, and an operator's file beside them (`policy.scanning.rules_file`).

A pattern is in the part of RE2's language that Python's `re` shares, so that one rule means the same under both. What
it found is its first group (or all of it), and a validator has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from fleet.traffic.sensitivity.validators import VALIDATORS
from fleet.vocabulary.names import Sensitivity

LONGEST_MATCH = 1024
"""Characters. What a pattern needs to see at once may not be longer: text is scanned in pieces that overlap by more."""

_NOT_IN_RE2 = re.compile(r"(?<!\\)(?:\\\\)*(\(\?(?:[=!>]|<[=!]|P=|\()|\\[1-9]|\\Z|[*+?}]\+)")
_SCHEMA = 1


class Kind(StrEnum):
    """What a rule finds."""

    CREDENTIAL = "credential"
    PRIVATE_KEY = "private_key"
    PAYMENT = "payment"
    PERSONAL = "personal"
    OWN = "own"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to look for.

    `near`: small-letter literals, one of which is in all that the pattern finds (it is not tried elsewhere); empty =
    tried everywhere. `gate`: a cheaper pattern for the same, where there is no literal; only `re` asks it. `least`:
    how many different ones in one piece of text make a hit. `raise_to`: the label that a hit makes; None = the
    policy's.
    """

    id: str
    pattern: str
    kind: Kind = Kind.OWN
    validator: str = ""
    near: tuple[str, ...] = ()
    gate: str = ""
    least: int = 1
    raise_to: Sensitivity | None = None


class _OwnRule(Rule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As an operator writes it: what it must find, and what it must not."""

    examples: tuple[str, ...] = ()
    counterexamples: tuple[str, ...] = ()


class _RulesFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: int = _SCHEMA
    rules: tuple[_OwnRule, ...] = ()
    without: tuple[str, ...] = ()


class RulesError(ValueError):
    """A rules file that cannot be used; the message names the place in it."""


def _token(pattern: str) -> str:
    """`pattern` as a word of its own. It may follow an escape of JSON or of an address, which ends in a letter."""
    return rf"(?:\\[abfnrtv]|\\u[0-9A-Fa-f]{{4}}|%[0-9A-Fa-f]{{2}}|^|[^0-9A-Za-z_])({pattern})"


_KEYED = (
    r"(?i:api_?-?key|secret|token|passw(?:or)?d|passphrase|credential|authorization|private_?-?key|access_?-?key)"
    r"[A-Za-z0-9_-]*[\"'`\\]*\s*(?:=>|:=|=|:|\s)\s*[\"'`\\]*(?i:bearer\s+|basic\s+)?"
    r"([A-Za-z0-9+/_.=~-]{16,})"
)
_NUMBER = (  # on its own, and no part of a decimal fraction: prompts are full of those
    r"(?:\\[abfnrtv]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2}|^|[^0-9A-Za-z_.]|[^0-9]\.)"
    r"([2-6](?:[ -]?[0-9]){13,18})"
    r"(?:[^0-9A-Za-z_.]|\.[^0-9]|\.$|\\|$)"
)

FLEET_RULES: tuple[Rule, ...] = (
    Rule(
        id="aws-access-key",
        kind=Kind.CREDENTIAL,
        pattern=_token("(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}"),
        near=("akia", "asia", "abia", "acca"),
    ),
    Rule(
        id="github-token",
        kind=Kind.CREDENTIAL,
        pattern=_token("gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{32}"),
        near=("gho_", "ghp_", "ghs_", "ghu_", "ghr_", "github_pat_"),
    ),
    Rule(id="gitlab-token", kind=Kind.CREDENTIAL, pattern=_token("glpat-[A-Za-z0-9_-]{20}"), near=("glpat-",)),
    Rule(
        id="slack-token",
        kind=Kind.CREDENTIAL,
        pattern=_token("xox[abeoprs]-[0-9A-Za-z-]{12}|xapp-[0-9]-[0-9A-Za-z-]{12}"),
        near=("xox", "xapp-"),
    ),
    Rule(
        id="slack-webhook",
        kind=Kind.CREDENTIAL,
        pattern="(hooks[.]slack[.]com/services/T[0-9A-Z]+/B[0-9A-Z]+/[0-9A-Za-z]{16})",
        near=("hooks.slack.com",),
    ),
    Rule(
        id="openai-key",
        kind=Kind.CREDENTIAL,
        pattern=_token("sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20}|[A-Za-z0-9]{32})"),
        near=("sk-",),
    ),
    Rule(id="anthropic-key", kind=Kind.CREDENTIAL, pattern=_token("sk-ant-[A-Za-z0-9_-]{24}"), near=("sk-ant-",)),
    Rule(id="openrouter-key", kind=Kind.CREDENTIAL, pattern=_token("sk-or-[A-Za-z0-9_-]{32}"), near=("sk-or-",)),
    Rule(id="fleet-key", kind=Kind.CREDENTIAL, pattern=_token("sk-fleet-[A-Za-z0-9_-]{20}"), near=("sk-fleet-",)),
    Rule(
        id="google-key",
        kind=Kind.CREDENTIAL,
        pattern=_token("AIza[0-9A-Za-z_-]{35}|GOCSPX-[0-9A-Za-z_-]{28}|ya29[.][0-9A-Za-z_-]{20}"),
        near=("aiza", "gocspx-", "ya29."),
    ),
    Rule(
        id="stripe-key",
        kind=Kind.CREDENTIAL,
        pattern=_token("[rs]k_live_[0-9A-Za-z]{20}"),
        near=("rk_live_", "sk_live_"),
    ),
    Rule(id="huggingface-token", kind=Kind.CREDENTIAL, pattern=_token("hf_[A-Za-z0-9]{34}"), near=("hf_",)),
    Rule(id="npm-token", kind=Kind.CREDENTIAL, pattern=_token("npm_[A-Za-z0-9]{36}"), near=("npm_",)),
    Rule(
        id="onepassword-token",
        kind=Kind.CREDENTIAL,
        pattern=_token("ops_eyJ[A-Za-z0-9+/=_-]{50}"),
        near=("ops_eyj",),
    ),
    Rule(
        id="age-key",
        kind=Kind.PRIVATE_KEY,
        pattern=_token("AGE-SECRET-KEY-1[0-9A-Z]{58}"),
        near=("age-secret-key-1",),
    ),
    Rule(
        id="private-key",
        kind=Kind.PRIVATE_KEY,
        pattern="-----BEGIN (?:[0-9A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[0-9]",
        near=("private key", "putty-user-key-file-"),
    ),
    Rule(
        id="jwt",
        kind=Kind.CREDENTIAL,
        pattern=_token(r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4}"),
        validator="jwt",
        near=("eyj",),
    ),
    Rule(
        id="password-in-address",
        kind=Kind.CREDENTIAL,
        pattern=r"[A-Za-z][0-9A-Za-z+]*://[^\s/:@\"']+:([^\s/:@\"']{3,})@",
        validator="password",
        near=("://",),
    ),
    Rule(
        id="secret-beside-its-name",
        kind=Kind.CREDENTIAL,
        pattern=_KEYED,
        validator="entropy",
        near=("key", "secret", "token", "passw", "passphrase", "credential", "authorization"),
    ),
    Rule(
        id="payment-card",
        kind=Kind.PAYMENT,
        pattern=_NUMBER,
        gate="[2-6](?:[ -]?[0-9]){13}",
        validator="luhn",
    ),
    Rule(
        id="iban",
        kind=Kind.PAYMENT,
        pattern=_token("[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,3})?"),
        gate="[A-Z]{2}[0-9]{2} ?[0-9A-Z]{4}",
        validator="iban",
    ),
    Rule(
        id="many-mail-addresses",
        kind=Kind.PERSONAL,
        pattern=r"[0-9A-Za-z._%+-]+@[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*\.[A-Za-z]{2,}",
        validator="mail",
        near=("@",),
        least=5,
    ),
)
"""What fleet looks for. Of addresses it takes five different ones in one piece: one or two are in every commit."""


def rules_of(document: object) -> tuple[Rule, ...]:
    """The rules of fleet and those of a rules file, as its JSON or YAML was decoded. Raises RulesError.

    `{"schema": 1, "rules": [{"id", "pattern", ...}], "without": ["iban"]}`: `without` leaves some of fleet's out. A
    rule's `examples` must be found by it, its `counterexamples` must not.
    """
    try:
        read = msgspec.convert(document, _RulesFile)
    except msgspec.ValidationError as error:
        raise RulesError(str(error)) from None
    if read.schema != _SCHEMA:
        raise RulesError(f"schema: {read.schema} is unknown here; this fleet knows {_SCHEMA}")
    known = {rule.id for rule in FLEET_RULES}
    for at, name in enumerate(read.without):
        if name not in known:
            raise RulesError(f"without[{at}]: {name!r} is none of fleet's rules: {', '.join(sorted(known))}")
    taken = known - {*read.without}
    own: list[Rule] = []
    for at, rule in enumerate(read.rules):
        if problem := _problem(rule, taken):
            raise RulesError(f"rules[{at}].{problem}")
        taken.add(rule.id)
        own.append(Rule(**{name: getattr(rule, name) for name in Rule.__struct_fields__}))
    return (*(rule for rule in FLEET_RULES if rule.id not in read.without), *own)


def valid(rule: Rule, found: Iterable[bytes]) -> set[bytes]:
    """Those different values, among what the pattern of `rule` found, that its validator lets pass."""
    check = VALIDATORS.get(rule.validator)
    values = set(found)
    return values if check is None else {value for value in values if check(value)}


def found_by(pattern: re.Pattern[str], piece: str, start: int, end: int) -> Iterable[bytes]:
    """What `pattern` finds between `start` and `end`: its first group, or all of it."""
    group = min(pattern.groups, 1)
    return ((match[group] or "").encode(errors="replace") for match in pattern.finditer(piece, start, end))


def _problem(rule: _OwnRule, taken: set[str]) -> str:
    """`FIELD: what is wrong`, or ""."""
    if not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", rule.id):
        return f"id: {rule.id!r} must be small letters, digits and dashes"
    if rule.id in taken:
        return f"id: {rule.id!r} is there twice"
    if rule.least < 1:
        return f"least: {rule.least} must be 1 or more"
    if rule.validator and rule.validator not in VALIDATORS:
        return f"validator: {rule.validator!r} is unknown; there are {', '.join(VALIDATORS)}"
    if any(literal != literal.lower() or not literal for literal in rule.near):
        return "near: must be in small letters, and not empty"
    if foreign := _NOT_IN_RE2.search(rule.pattern):
        return f"pattern: {foreign[1]!r} is not in RE2's language, which scans in linear time"
    try:
        re.compile(rule.gate)
        compiled = re.compile(rule.pattern, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        return f"pattern: {error}"
    if compiled.search(""):
        return "pattern: it matches nothing at all, so it would match everything"
    if problem := _re2_problem(rule.pattern):
        return f"pattern: RE2 does not take it: {problem}"
    for at, text in enumerate(rule.examples):
        if not _finds(rule, compiled, text):
            return f"examples[{at}]: the rule does not find it"
    for at, text in enumerate(rule.counterexamples):
        if _finds(rule, compiled, text):
            return f"counterexamples[{at}]: the rule finds it"
    return ""


def _re2_problem(pattern: str) -> str:
    """What RE2 says against it, where it is there to ask: a count above 1000, a language of its own."""
    try:
        import re2
    except ImportError:
        return ""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        told = error.args[0] if error.args else ""
        return told.decode(errors="replace") if isinstance(told, bytes) else str(told)
    return ""


def _finds(rule: Rule, compiled: re.Pattern[str], text: str) -> bool:
    lowered = text.lower()
    if rule.near and not any(literal in lowered for literal in rule.near):
        return False
    return len(valid(rule, found_by(compiled, text, 0, len(text)))) >= rule.least
