"""The always-on router."""
