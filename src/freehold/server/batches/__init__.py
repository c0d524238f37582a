"""Batches: requests that clients leave in files, done one by one behind everybody who waits.

`shelf` keeps the bytes, `journal` the results, `lines` serves one line as the endpoint it names would, `runner` works
through what there is. Their rows are in `storage.batches`, their words in `wire.batches`.
"""
