"""The shared words (DESIGN section 2). Pure; standard library and msgspec only."""
