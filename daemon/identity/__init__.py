"""Which location is which item."""
