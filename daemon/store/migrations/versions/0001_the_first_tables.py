"""the first tables."""

import sqlalchemy as sa
from alembic import op
import daemon.store.models


revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fact",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_fact")),
    )
    op.create_table(
        "item",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("title", sa.String(collation="NOCASE"), nullable=False),
        sa.Column("artist", sa.String(), nullable=False),
        sa.Column("album", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("duration", sa.Double(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("sidecar", sa.String(), nullable=False),
        sa.Column("input_hash", sa.String(), nullable=False),
        sa.Column("description_hash", sa.String(), nullable=True),
        sa.Column("added_at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.Column("gone_at", daemon.store.models.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item")),
    )
    with op.batch_alter_table("item", schema=None) as batch_op:
        batch_op.create_index(
            "ix_item_kind_gone_at_added_at", ["kind", "gone_at", "added_at", "id"], unique=False
        )
        batch_op.create_index(
            "ix_item_kind_gone_at_duration", ["kind", "gone_at", "duration", "id"], unique=False
        )
        batch_op.create_index(
            "ix_item_kind_gone_at_title", ["kind", "gone_at", "title", "id"], unique=False
        )
        batch_op.create_index(
            "ix_item_kind_gone_at_year", ["kind", "gone_at", "year", "id"], unique=False
        )

    op.create_table(
        "job_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("group", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("lane", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("checkpoint", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("queued_at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.Column("started_at", daemon.store.models.UtcDateTime(), nullable=True),
        sa.Column("finished_at", daemon.store.models.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_run")),
    )
    with op.batch_alter_table("job_run", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_job_run_group"), ["group"], unique=False)
        batch_op.create_index("ix_job_run_state", ["state"], unique=False)

    op.create_table(
        "playlist_write",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("playlist", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.Column("item_ids", sa.JSON(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_playlist_write")),
    )
    with op.batch_alter_table("playlist_write", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_playlist_write_playlist"), ["playlist"], unique=False)

    op.create_table(
        "profile",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profile")),
        sa.UniqueConstraint("name", name=op.f("uq_profile_name")),
    )
    op.create_table(
        "source",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("media", sa.String(), nullable=True),
        sa.Column("root", sa.LargeBinary(), nullable=True),
        sa.Column("in_settings", sa.Boolean(), nullable=False),
        sa.Column("synced_at", daemon.store.models.UtcDateTime(), nullable=True),
        sa.Column("problem", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source")),
        sa.UniqueConstraint("name", name=op.f("uq_source_name")),
    )
    op.create_table(
        "vector",
        sa.Column("space", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("space", "content", name=op.f("pk_vector")),
    )
    op.create_table(
        "description",
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("producer", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("made_at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_description_item_id")),
        sa.PrimaryKeyConstraint("item_id", "producer", name=op.f("pk_description")),
    )
    op.create_table(
        "item_vector",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("space", sa.String(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("snippet", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_item_vector_item_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item_vector")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("item_vector", schema=None) as batch_op:
        batch_op.create_index("ix_item_vector_space_id", ["space", "id"], unique=False)
        batch_op.create_index("ix_item_vector_space_item_id", ["space", "item_id"], unique=False)

    op.create_table(
        "location",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("companions", sa.String(), nullable=False),
        sa.Column("soft_hash", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=True),
        sa.Column("look", sa.String(), nullable=True),
        sa.Column("duration", sa.Double(), nullable=True),
        sa.Column("provider_ids", sa.JSON(), nullable=False),
        sa.Column("added_at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.Column("gone_at", daemon.store.models.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_location_item_id")),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"], name=op.f("fk_location_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_location")),
        sa.UniqueConstraint("source_id", "path", name=op.f("uq_location_source_id_path")),
    )
    with op.batch_alter_table("location", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_location_content_hash"), ["content_hash"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_location_item_id"), ["item_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_location_soft_hash"), ["soft_hash"], unique=False)

    op.create_table(
        "play",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("event_key", sa.String(), nullable=False),
        sa.Column("played_at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.Column("position", sa.Double(), nullable=True),
        sa.Column("duration", sa.Double(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_play_item_id")),
        sa.ForeignKeyConstraint(["profile_id"], ["profile.id"], name=op.f("fk_play_profile_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_play")),
        sa.UniqueConstraint("source", "event_key", name=op.f("uq_play_source_event_key")),
    )
    with op.batch_alter_table("play", schema=None) as batch_op:
        batch_op.create_index(
            "ix_play_profile_id_item_id_played_at",
            ["profile_id", "item_id", "played_at"],
            unique=False,
        )

    op.create_table(
        "prediction",
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("uncertainty", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_prediction_item_id")),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["profile.id"], name=op.f("fk_prediction_profile_id")
        ),
        sa.PrimaryKeyConstraint("profile_id", "item_id", name=op.f("pk_prediction")),
    )
    with op.batch_alter_table("prediction", schema=None) as batch_op:
        batch_op.create_index(
            "ix_prediction_profile_id_kind_value",
            ["profile_id", "kind", "value", "item_id"],
            unique=False,
        )

    op.create_table(
        "prediction_state",
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("made_at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["profile.id"], name=op.f("fk_prediction_state_profile_id")
        ),
        sa.PrimaryKeyConstraint("profile_id", name=op.f("pk_prediction_state")),
    )
    op.create_table(
        "rating",
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("rated_at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_rating_item_id")),
        sa.ForeignKeyConstraint(["profile_id"], ["profile.id"], name=op.f("fk_rating_profile_id")),
        sa.PrimaryKeyConstraint("profile_id", "item_id", name=op.f("pk_rating")),
    )
    with op.batch_alter_table("rating", schema=None) as batch_op:
        batch_op.create_index("ix_rating_item_id", ["item_id"], unique=False)
        batch_op.create_index("ix_rating_profile_id_value", ["profile_id", "value"], unique=False)

    op.create_table(
        "rating_event",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("rated_at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_rating_event_item_id")),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["profile.id"], name=op.f("fk_rating_event_profile_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rating_event")),
    )
    with op.batch_alter_table("rating_event", schema=None) as batch_op:
        batch_op.create_index(
            "ix_rating_event_profile_id_item_id", ["profile_id", "item_id"], unique=False
        )

    op.create_table(
        "taste_model",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("profile_id", sa.Integer(), nullable=False),
        sa.Column("made_at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("ratings", sa.Integer(), nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("in_use", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["profile.id"], name=op.f("fk_taste_model_profile_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_taste_model")),
    )
    with op.batch_alter_table("taste_model", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_taste_model_profile_id"), ["profile_id"], unique=False)

    op.create_table(
        "unreadable_location",
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("companions", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"], ["source.id"], name=op.f("fk_unreadable_location_source_id")
        ),
        sa.PrimaryKeyConstraint("source_id", "path", name=op.f("pk_unreadable_location")),
    )
    op.create_table(
        "work",
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("input_hash", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_work_item_id")),
        sa.PrimaryKeyConstraint("item_id", "worker", name=op.f("pk_work")),
    )
    op.create_table(
        "join_record",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.Column("location_id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("evidence", sa.String(), nullable=False),
        sa.Column("undone_at", daemon.store.models.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["item.id"], name=op.f("fk_join_record_item_id")),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.id"],
            name=op.f("fk_join_record_location_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_join_record")),
    )
    with op.batch_alter_table("join_record", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_join_record_item_id"), ["item_id"], unique=False)

    op.create_table(
        "provider_id",
        sa.Column("location_id", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["location_id"],
            ["location.id"],
            name=op.f("fk_provider_id_location_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("location_id", "provider", name=op.f("pk_provider_id")),
    )
    with op.batch_alter_table("provider_id", schema=None) as batch_op:
        batch_op.create_index("ix_provider_id_provider_value", ["provider", "value"], unique=False)
    op.execute(
        "CREATE VIRTUAL TABLE item_text USING fts5"
        "(title, names, body, tokenize = 'unicode61 remove_diacritics 2')"
    )


def downgrade() -> None:
    op.execute("DROP TABLE item_text")
    with op.batch_alter_table("provider_id", schema=None) as batch_op:
        batch_op.drop_index("ix_provider_id_provider_value")

    op.drop_table("provider_id")
    with op.batch_alter_table("join_record", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_join_record_item_id"))

    op.drop_table("join_record")
    op.drop_table("work")
    op.drop_table("unreadable_location")
    with op.batch_alter_table("taste_model", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_taste_model_profile_id"))

    op.drop_table("taste_model")
    with op.batch_alter_table("rating_event", schema=None) as batch_op:
        batch_op.drop_index("ix_rating_event_profile_id_item_id")

    op.drop_table("rating_event")
    with op.batch_alter_table("rating", schema=None) as batch_op:
        batch_op.drop_index("ix_rating_profile_id_value")
        batch_op.drop_index("ix_rating_item_id")

    op.drop_table("rating")
    op.drop_table("prediction_state")
    with op.batch_alter_table("prediction", schema=None) as batch_op:
        batch_op.drop_index("ix_prediction_profile_id_kind_value")

    op.drop_table("prediction")
    with op.batch_alter_table("play", schema=None) as batch_op:
        batch_op.drop_index("ix_play_profile_id_item_id_played_at")

    op.drop_table("play")
    with op.batch_alter_table("location", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_location_soft_hash"))
        batch_op.drop_index(batch_op.f("ix_location_item_id"))
        batch_op.drop_index(batch_op.f("ix_location_content_hash"))

    op.drop_table("location")
    with op.batch_alter_table("item_vector", schema=None) as batch_op:
        batch_op.drop_index("ix_item_vector_space_item_id")
        batch_op.drop_index("ix_item_vector_space_id")

    op.drop_table("item_vector")
    op.drop_table("description")
    op.drop_table("vector")
    op.drop_table("source")
    op.drop_table("profile")
    with op.batch_alter_table("playlist_write", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_playlist_write_playlist"))

    op.drop_table("playlist_write")
    with op.batch_alter_table("job_run", schema=None) as batch_op:
        batch_op.drop_index("ix_job_run_state")
        batch_op.drop_index(batch_op.f("ix_job_run_group"))

    op.drop_table("job_run")
    with op.batch_alter_table("item", schema=None) as batch_op:
        batch_op.drop_index("ix_item_kind_gone_at_year")
        batch_op.drop_index("ix_item_kind_gone_at_title")
        batch_op.drop_index("ix_item_kind_gone_at_duration")
        batch_op.drop_index("ix_item_kind_gone_at_added_at")

    op.drop_table("item")
    op.drop_table("fact")
