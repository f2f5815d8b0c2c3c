"""Reads agents and gateways; FleetView is what CLI and TUI both show."""
