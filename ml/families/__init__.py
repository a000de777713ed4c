"""One module a model family; each has `start(options)` and runs in a process of its own."""
