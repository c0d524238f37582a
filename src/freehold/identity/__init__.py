"""Identity: who asks."""
