"""A small library made by code, so that a newcomer's first page is not empty."""
