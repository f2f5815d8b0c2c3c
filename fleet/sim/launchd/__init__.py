"""A simulated launchd per node: it supervises real processes as macos/FACTS section 7 says."""
