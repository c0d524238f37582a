"""What an attempt's row is made from, when its reservation lapses."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reservations", sa.Column("attempt", sa.Text(), nullable=True))
