"""Turns references into blobs and digests."""
