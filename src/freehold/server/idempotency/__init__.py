"""`Idempotency-Key`: a request that comes again is answered again, and not paid again.

`asked` reads a key and says whose it is, `desk` lets one request of a key be served and the others wait, `copying` takes down
what the client is answered, `sealing` keeps it unreadable for whoever does not send the key. The rows are in
`storage.idempotency`; docs/idempotency.md says what clients see.
"""
