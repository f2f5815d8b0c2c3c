"""fleet: an inventory-driven orchestrator for remote Macs that serve language models."""

__version__ = "0.1.0"
