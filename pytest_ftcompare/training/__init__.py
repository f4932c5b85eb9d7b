"""The torch side: a case and a seed become a sample. Never imports pytest."""
