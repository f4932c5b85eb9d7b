"""What must hold of a method without a baseline, and what is compared without noise: invariants, probe, structure."""
