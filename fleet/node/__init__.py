"""The Mac."""
