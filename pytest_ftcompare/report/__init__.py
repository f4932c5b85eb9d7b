"""Verdicts made readable: generators of lines that decide nothing."""
