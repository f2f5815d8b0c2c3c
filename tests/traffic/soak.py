"""How long the state machines of money and policy run: 200 examples, or as many as FLEET_SOAK says (`make soak`)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("FLEET_SOAK") or 200)


def soak(steps: int) -> settings:
    """The settings of one machine: `steps` at most in each example."""
    quiet = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    return settings(max_examples=EXAMPLES, stateful_step_count=steps, deadline=None, suppress_health_check=quiet)
