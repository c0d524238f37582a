"""Freehold: a local-first hybrid AI gateway.

The version is read from here by the command line, the response headers and the ledger.
"""

__version__ = "0.1.0"
