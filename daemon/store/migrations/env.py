"""How Alembic reaches the database and the models."""

from alembic import context

from daemon.store.migrate import is_ours
from daemon.store import server_models, smart_playlists  # noqa: F401  # tables of Base
from daemon.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by making it anew
    include_object=is_ours,
    user_module_prefix="daemon.store.models.",
)
with context.begin_transaction():
    context.run_migrations()
