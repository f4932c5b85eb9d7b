"""Test claims of studies: how they relate cases, and whether a run reproduces them."""
