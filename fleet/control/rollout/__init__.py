"""Plan, batches, gates, revert, run journal."""
