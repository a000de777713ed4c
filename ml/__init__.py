"""Models: embedders, the vector index, the taste model. Runs in worker processes."""
