"""What became of the tools that a request offered: the same score for live traffic and for the harness. Pure."""
