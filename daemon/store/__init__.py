"""SQLite: tables, migrations, and the questions asked of them."""
