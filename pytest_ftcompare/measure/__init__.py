"""What a run costs: time, memory, energy, and which device a worker has. Never imports pytest."""
