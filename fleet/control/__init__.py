"""The laptop: decides, then drives."""
