"""A front's ledger: one SQLite file, one writer, and what is read from it."""
