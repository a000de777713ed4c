"""Tests with real parts: files, a database, processes, a browser."""
