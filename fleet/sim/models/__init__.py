"""Makers of the models that simulated sidecars serve."""
