"""Routing tickets: what a week found, with its evidence, and what to change in the routes. Nothing is ever changed."""
