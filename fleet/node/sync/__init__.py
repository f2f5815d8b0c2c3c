"""Observe, stage, switch, revert. Standard library only; travels as one zipapp."""
