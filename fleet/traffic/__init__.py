"""Traffic policy as pure functions. Imports vocabulary and errors only."""
