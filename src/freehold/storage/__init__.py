"""Storage: where rows are kept. Engine, schema, migrations and the one writer.

SQLite on this machine; the same code runs on PostgreSQL, so what only SQLite knows stands in `store` and `engine`.
`store` and `writer` are free of SQLAlchemy, which takes a fifth of a second to import: a server is ready before its
database driver is.
"""
