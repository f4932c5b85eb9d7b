"""Train one seed of a case and evaluate it. This folder loads torch and never imports pytest."""
