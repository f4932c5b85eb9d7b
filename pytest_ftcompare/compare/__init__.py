"""Results against baselines: environment, differences, statistics, audits, verdicts. Plain Python: no torch, no pytest."""
