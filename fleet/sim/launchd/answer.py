"""What launchctl prints and exits with, and the table of its errors (FACTS section 1.2, recorded `errors.yaml`)."""

from __future__ import annotations

from dataclasses import dataclass

ERRORS = {
    1: "Operation not permitted",
    3: "No such process",
    5: "Input/output error",
    36: "Operation now in progress",
    37: "Operation already in progress",
    64: "Unrecognized target specifier.",
    109: "Invalid property list",
    110: "Invalid or missing service identifier",
    111: "Invalid or missing Program/ProgramArguments",
    112: "Could not find specified domain",
    113: "Could not find specified service",
    119: "Service is disabled",
    122: "Path had bad ownership/permissions",
    125: "Domain does not support specified action",
    134: "Service cannot load in requested session",
}


@dataclass(frozen=True)
class Answer:
    """Exit status, stdout and stderr of one launchctl call."""

    code: int = 0
    out: str = ""
    err: str = ""


def bootstrap_failed(code: int, *, privileged: bool) -> Answer:
    """How `bootstrap` fails; without root one more line of advice."""
    advice = "" if privileged else "Try re-running the command as root for richer errors.\n"
    return Answer(code, err=f"Bootstrap failed: {code}: {ERRORS[code]}\n{advice}")


def bootout_failed(code: int) -> Answer:
    """How `bootout` fails, or says that the job is still dying (36)."""
    return Answer(code, err=f"Boot-out failed: {code}: {ERRORS[code]}\n")


def kickstart_failed(label: str, code: int) -> Answer:
    """How `kickstart` fails."""
    return Answer(code, err=f'Could not kickstart service "{label}": {code}: {ERRORS[code]}\n')


def no_service(label: str, domain: str) -> Answer:
    """An unknown label."""
    return Answer(113, err=f'Bad request.\nCould not find service "{label}" in domain for {domain_words(domain)}\n')


def no_domain(domain: str) -> Answer:
    """A domain that does not exist now: nobody is at the desktop."""
    return Answer(112, err=f"Bad request.\nCould not find domain for {domain_words(domain)}\n")


def bad_target(text: str) -> Answer:
    """A target without its domain, or something else that is no target."""
    return Answer(64, err=f"Unrecognized target specifier.\n{text} is not a valid target specifier.\n")


def domain_words(domain: str) -> str:
    """`system`, or `user gui: 501` for gui/501."""
    kind, _, uid = domain.partition("/")
    return f"user {kind}: {uid}" if uid else kind
