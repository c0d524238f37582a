"""The first tables: requests, attempts, decisions, policies and meta."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make_requests()
    _make_attempts()
    _make_decisions()
    _make_policies()
    _make_meta()
    _make_indexes()


def _make_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("wire_format", sa.Text(), nullable=True),
        sa.Column("caller_key", sa.Text(), nullable=False),
        sa.Column("caller_user", sa.Text(), nullable=False),
        sa.Column("asked_model", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("deployment", sa.Text(), nullable=True),
        sa.Column("runtime", sa.Text(), nullable=True),
        sa.Column("egress", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens_counted", sa.BigInteger(), nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger(), nullable=True),
        sa.Column("cost_basis", sa.Text(), nullable=False),
        sa.Column("first_content_ms", sa.Double(), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("overhead_ms", sa.Double(), nullable=True),
        *_usage_columns(),
        sa.Column("caller_team", sa.Text(), nullable=True),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("fault_message", sa.Text(), nullable=True),
        sa.Column("place", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, autoincrement=True),
        sa.CheckConstraint(
            "\"cost_basis\" = 'metered' OR \"cost_basis\" = 'amortised' OR \"cost_basis\" = 'estimated' OR \"cost_basis\" = 'unknown' OR \"cost_basis\" = 'free'",
            name=op.f("ck_requests_cost_basis"),
        ),
        sa.CheckConstraint(
            "\"egress\" = 'local' OR \"egress\" = 'self_hosted' OR \"egress\" = 'vendor'", name=op.f("ck_requests_egress")
        ),
        sa.CheckConstraint(
            "\"label\" = 'public' OR \"label\" = 'internal' OR \"label\" = 'confidential' OR \"label\" = 'restricted'",
            name=op.f("ck_requests_label"),
        ),
        sa.CheckConstraint(
            "\"outcome\" = 'served' OR \"outcome\" = 'failed' OR \"outcome\" = 'refused' OR \"outcome\" = 'cancelled' OR \"outcome\" = 'cut'",
            name=op.f("ck_requests_outcome"),
        ),
        sa.CheckConstraint(
            "\"usage_basis\" = 'measured' OR \"usage_basis\" = 'reported' OR \"usage_basis\" = 'estimated'",
            name=op.f("ck_requests_usage_basis"),
        ),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_requests")),
        sa.UniqueConstraint("request_id", name=op.f("uq_requests_request_id")),
        info={"says": "One final row per request, whatever happened to it."},
    )


def _make_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("runtime", sa.Text(), nullable=False),
        sa.Column("egress", sa.Text(), nullable=False),
        sa.Column("sent_model", sa.Text(), nullable=False),
        sa.Column("answered_model", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("first_content_ms", sa.Double(), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("end", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("cost_nano_usd", sa.BigInteger(), nullable=True),
        sa.Column("cost_basis", sa.Text(), nullable=False),
        sa.Column("edits", sa.Text(), nullable=False),
        *_usage_columns(),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("fault_message", sa.Text(), nullable=True),
        sa.Column("verdicts", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "\"cost_basis\" = 'metered' OR \"cost_basis\" = 'amortised' OR \"cost_basis\" = 'estimated' OR \"cost_basis\" = 'unknown' OR \"cost_basis\" = 'free'",
            name=op.f("ck_attempts_cost_basis"),
        ),
        sa.CheckConstraint(
            "\"egress\" = 'local' OR \"egress\" = 'self_hosted' OR \"egress\" = 'vendor'", name=op.f("ck_attempts_egress")
        ),
        sa.CheckConstraint(
            "\"end\" = 'served' OR \"end\" = 'fault' OR \"end\" = 'escalated' OR \"end\" = 'cancelled' OR \"end\" = 'cut'",
            name=op.f("ck_attempts_end"),
        ),
        sa.CheckConstraint("\"mode\" = 'relay' OR \"mode\" = 'translate'", name=op.f("ck_attempts_mode")),
        sa.CheckConstraint(
            "\"usage_basis\" = 'measured' OR \"usage_basis\" = 'reported' OR \"usage_basis\" = 'estimated'",
            name=op.f("ck_attempts_usage_basis"),
        ),
        sa.PrimaryKeyConstraint("request_id", "number", name=op.f("pk_attempts")),
        info={"says": "One row per upstream attempt."},
    )


def _make_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("decided", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_decisions")),
        info={"says": "One row per decision, with all that went into it, so that it can be computed again."},
    )


def _make_policies() -> None:
    op.create_table(
        "policies",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("first_used_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policies")),
        info={"says": "Each policy that ever decided something, once."},
    )


def _make_meta() -> None:
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
        info={"says": "Facts about this store itself."},
    )


def _make_indexes() -> None:
    op.create_index(
        op.f("ix_requests_session_request_id"),
        "requests",
        ["session", "request_id"],
        unique=False,
        sqlite_where=sa.text("session IS NOT NULL"),
        postgresql_where=sa.text("session IS NOT NULL"),
    )


def _usage_columns() -> list[sa.Column[int] | sa.Column[str]]:
    return [
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=True),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=True),
        sa.Column("usage_basis", sa.Text(), nullable=True),
    ]
