"""The parts of the report, one file each. Pure but for the answers that they ask for."""
