"""The process: settings, storage, steps, playlists, wiring."""
