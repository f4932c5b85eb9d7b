"""Modules that no library has, and their places in each architecture.

Unlike methods' files, these import torch.
"""
