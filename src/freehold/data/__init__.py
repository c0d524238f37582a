"""Data files: model facts, quirks, the default policy, weight manifests; each names its source."""
