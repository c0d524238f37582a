"""Rows of files and batches, as values. Free of SQLAlchemy, so that a server imports it only when it has some."""

import msgspec

from freehold.features import Caller


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    """One file. Its bytes are in the data directory, under its id."""

    file_id: str
    caller_key: str
    caller_user: str
    purpose: str
    filename: str
    size_bytes: int
    created_ms: int


class BatchRow(msgspec.Struct, frozen=True, kw_only=True):
    """One batch. `state` is JSON that whoever runs batches reads."""

    batch_id: str
    caller: Caller
    """As it was when the batch was made; its lines run under the same ceiling and label."""
    headers: dict[str, str]
    """Those of the request that made it that bear on decisions."""
    endpoint: str
    input_file_id: str
    metadata: dict[str, str]
    created_ms: int
    expires_ms: int
    is_over: bool
    state: msgspec.Raw
