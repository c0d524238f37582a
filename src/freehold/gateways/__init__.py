"""Model gateways: one interface over local, self-hosted and vendor runtimes, and the one way out of the process."""
