"""What a cost was computed from: the version of the price, and shares of the tokens that have rates of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("price_version", sa.Text(), nullable=True))
    for table in ("requests", "attempts"):
        for column in ("cache_write_1h_tokens", "audio_input_tokens", "audio_output_tokens", "image_input_tokens"):
            op.add_column(table, sa.Column(column, sa.BigInteger(), nullable=True))
