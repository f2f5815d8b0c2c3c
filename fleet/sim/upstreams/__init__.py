"""Simulated upstreams: real HTTP servers that answer by script, bill exactly, and fail on demand."""
