"""Time, memory and energy of a case, and which device a worker uses. Never imports pytest."""
