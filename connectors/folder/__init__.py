"""A mounted folder as a source: walked, read and watched; never written to."""
