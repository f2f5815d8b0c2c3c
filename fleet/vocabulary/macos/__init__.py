"""What macOS commands print, as values. Every parser is total: odd text gives unknown fields, never an error.

Standard library only. The recordings that each parser is tested against lie in tests/samples/.
"""
