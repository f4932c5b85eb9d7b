"""One case from its settings to its verdict, the session around all cases, and the folder of a run. Never imports pytest."""
