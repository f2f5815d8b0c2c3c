"""Inventory, playbook, templates and supplies to desired states. Pure."""
