"""Smart playlists: what should be on them, and the files that carry them."""
