"""A session's document as one HTML page: Python renders it, the scripts beside it sort, filter and draw."""
