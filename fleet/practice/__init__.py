"""The weekly work: what was used, what it cost, what to change."""
