"""Configuration of the programs that ask a fleet: OpenClaw and others. Pure; no file, network or fleet is touched."""
