"""The commands. One file per verb group; imports are lazy."""
