"""The harness: the same prompts to every tier, checked by machine: a route changes on figures, not on taste."""
