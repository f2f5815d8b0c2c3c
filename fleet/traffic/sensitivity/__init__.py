"""What a request may be shown to: labels, what looks into prompts, and sessions that a hit has marked. Pure."""
