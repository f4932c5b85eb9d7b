"""Cases, results, baselines and other stored files: the ground that every room stands on. Plain Python: no torch, no pytest."""
