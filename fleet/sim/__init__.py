"""Simulated Macs. The rehearsal room for users and the ground of the tests."""
