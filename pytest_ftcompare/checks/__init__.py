"""Check a method without a baseline or without noise: invariants, probe, structure."""
