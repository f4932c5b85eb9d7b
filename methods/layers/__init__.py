"""Modules that no library has, and where they go in each architecture. Unlike methods' files, these import torch."""
