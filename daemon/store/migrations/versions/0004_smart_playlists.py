"""smart playlists."""

import sqlalchemy as sa
from alembic import op
import daemon.store.models


revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "smart_playlist",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("changed_at", daemon.store.models.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_smart_playlist")),
    )


def downgrade() -> None:
    op.drop_table("smart_playlist")
