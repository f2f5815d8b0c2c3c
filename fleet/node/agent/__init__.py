"""Samples, health, history, metrics of one node."""
