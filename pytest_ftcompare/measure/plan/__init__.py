"""What one update of a method would need on a model that does not fit here, without its weights."""
