"""YAML to plays and typed tasks."""
