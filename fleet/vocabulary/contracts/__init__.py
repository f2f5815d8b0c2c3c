"""Every struct that crosses a process, versioned, each with a round-trip test."""
