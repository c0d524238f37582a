"""Routing: what is known of a request, where it should go, and whether the answer will do. Pure."""
