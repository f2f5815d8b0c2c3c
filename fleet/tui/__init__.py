"""`fleet top`: the fleet on one screen. The only importer of Textual."""
