"""Fit: what a request or a model needs, against what a deployment or a machine has. Pure."""
