"""Processes for heavy work and for untrusted files."""
