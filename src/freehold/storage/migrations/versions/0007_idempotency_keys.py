"""What a repeated request is answered, by the `Idempotency-Key` that its client sends."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("lapses_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_ms", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_idempotency_keys")),
        sa.CheckConstraint(
            "\"state\" = 'under_way' OR \"state\" = 'answered' OR \"state\" = 'left'", name=op.f("ck_idempotency_keys_state")
        ),
    )
    op.create_index(op.f("ix_idempotency_keys_ends_ms"), "idempotency_keys", ["ends_ms"])
