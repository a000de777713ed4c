"""what models perceive."""

import sqlalchemy as sa
from alembic import op


revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

FROM_THE_FILE = """
UPDATE item SET media_hash = coalesce(
    (SELECT coalesce(location.content_hash, location.soft_hash)
     FROM location JOIN source ON source.id = location.source_id
     WHERE location.item_id = item.id AND source.root IS NOT NULL
     ORDER BY location.gone_at IS NOT NULL, location.id LIMIT 1),
    'server ' || item.id)
"""


def upgrade() -> None:
    with op.batch_alter_table("item", schema=None) as batch_op:
        batch_op.add_column(sa.Column("media_hash", sa.String(), nullable=False, server_default=""))
    op.execute(FROM_THE_FILE)


def downgrade() -> None:
    with op.batch_alter_table("item", schema=None) as batch_op:
        batch_op.drop_column("media_hash")
