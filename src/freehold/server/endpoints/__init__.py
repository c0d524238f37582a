"""Endpoints: the path names the wire format, nothing else does."""
