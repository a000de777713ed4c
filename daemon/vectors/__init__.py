"""What is asked of vectors: the index, search, and the predictions of the taste model."""
