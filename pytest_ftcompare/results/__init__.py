"""Cases, results, baselines and other stored files. All layers use it; it imports no torch or pytest."""
