"""YAML to hosts, groups and typed settings; selectors; explain."""
