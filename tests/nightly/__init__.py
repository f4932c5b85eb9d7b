"""Rehearse the nightly workflow without GitHub, a GPU and real weights (docs/nightly.md)."""
