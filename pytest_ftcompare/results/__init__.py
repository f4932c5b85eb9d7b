"""Cases, results, baselines and other stored files. Imports neither torch nor pytest."""
