"""Sessions: what a conversation keeps from one request to the next."""
