"""What CLI and TUI both do."""
