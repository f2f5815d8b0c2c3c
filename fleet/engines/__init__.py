"""Inference servers as pure values."""
