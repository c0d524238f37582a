"""Budgets: how each account stands, what is reserved of it, and what did not go as reserved."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("spent >= 0", name=op.f("ck_accounts_spent")),
        sa.CheckConstraint("reserved >= 0", name=op.f("ck_accounts_reserved")),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_accounts")),
    )
    op.create_table(
        "reservations",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("lapses_ms", sa.BigInteger(), nullable=False),
        sa.Column("charges", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_reservations")),
    )
    op.create_index(op.f("ix_reservations_lapses_ms"), "reservations", ["lapses_ms"], unique=False)
    op.create_table(
        "money_flags",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("flag", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "\"flag\" = 'lapsed' OR \"flag\" = 'overrun' OR \"flag\" = 'unwritten'", name=op.f("ck_money_flags_flag")
        ),
        sa.PrimaryKeyConstraint("attempt_id", "flag", "account", name=op.f("pk_money_flags")),
    )
