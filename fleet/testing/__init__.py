"""Fakes and builders, shipped so that users can test their playbooks."""
