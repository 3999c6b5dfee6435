"""Alert states, incidents, notifications, runbook runs and control commands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _detect()
    _incidents()
    _notifications()
    _runbooks()
    _control()


def _detect() -> None:
    op.create_table(
        "alert_states",
        sa.Column("rule_key", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("group_key", sa.String, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("active_at", sa.Float, nullable=False),
        sa.Column("fired_at", sa.Float),
        sa.Column("resolved_at", sa.Float),
        sa.Column("keep_firing_since", sa.Float),
        sa.Column("last_sent_at", sa.Float),
        sa.PrimaryKeyConstraint("rule_key", "fingerprint", name="pk_alert_states"),
    )
    op.create_table(
        "alert_groups",
        sa.Column("group_key", sa.String, nullable=False),
        sa.Column("evaluated_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("group_key", name="pk_alert_groups"),
    )


def _incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("title", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("priority", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("identified_at", sa.Float),
        sa.Column("monitoring_since", sa.Float),
        sa.Column("resolved_at", sa.Float),
        sa.Column("acknowledged_at", sa.Float),
        sa.Column("acknowledged_by", sa.String),
        sa.Column("target_at", sa.Float),
        sa.Column("services", sa.JSON, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
    )
    op.create_index("ix_incidents_status", "incidents", ["status"])
    op.create_table(
        "incident_alerts",
        sa.Column("incident_id", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("active_at", sa.Float),
        sa.Column("fired_at", sa.Float),
        sa.Column("resolved_at", sa.Float),
        sa.PrimaryKeyConstraint("incident_id", "fingerprint", name="pk_incident_alerts"),
        _belongs_to("incident_alerts", "incident_id", "incidents"),
    )
    op.create_index("ix_incident_alerts_fingerprint", "incident_alerts", ["fingerprint"])
    op.create_table(
        "incident_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("incident_id", sa.String, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_incident_events"),
        _belongs_to("incident_events", "incident_id", "incidents"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_incident_events_incident_id_at", "incident_events", ["incident_id", "at"])


def _notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("incident_id", sa.String),
        sa.Column("receiver", sa.String, nullable=False),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("integration", sa.Integer, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Float),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("sent_at", sa.Float),
        sa.Column("error", sa.String, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("dedup_key", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_notifications"),
        sa.UniqueConstraint(
            "incident_id",
            "receiver",
            "channel",
            "integration",
            "event",
            name="uq_notifications_incident_id_receiver_channel_integration_event",
        ),
        _belongs_to("notifications", "incident_id", "incidents"),
    )
    op.create_index("ix_notifications_state_next_at", "notifications", ["state", "next_at"])


def _runbooks() -> None:
    op.create_table(
        "runbook_runs",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("incident_id", sa.String),
        sa.Column("runbook", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("finished_at", sa.Float),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runbook_runs"),
        _belongs_to("runbook_runs", "incident_id", "incidents"),
    )
    op.create_index("ix_runbook_runs_incident_id", "runbook_runs", ["incident_id"])
    op.create_index("ix_runbook_runs_state", "runbook_runs", ["state"])
    op.create_table(
        "runbook_steps",
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("finished_at", sa.Float),
        sa.Column("idempotency_key", sa.String, nullable=False),
        sa.Column("result", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "position", name="pk_runbook_steps"),
        _belongs_to("runbook_steps", "run_id", "runbook_runs"),
    )


def _control() -> None:
    op.create_table(
        "control_commands",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("service", sa.String, nullable=False),
        sa.Column("instance", sa.String),
        sa.Column("control", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("params", sa.JSON, nullable=False),
        sa.Column("issued_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("revoked_at", sa.Float),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_control_commands"),
    )
    op.create_index("ix_control_commands_service_issued_at", "control_commands", ["service", "issued_at"])
    op.create_table(
        "control_acks",
        sa.Column("command_id", sa.String, nullable=False),
        sa.Column("instance", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("command_id", "instance", name="pk_control_acks"),
        _belongs_to("control_acks", "command_id", "control_commands"),
    )


def _belongs_to(table: str, column: str, whole: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{whole}.id"], ondelete="CASCADE", name=f"fk_{table}_{column}_{whole}")
