"""Plan the memory of one update on a model that does not fit here, without its weights."""
