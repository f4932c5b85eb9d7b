"""Render a session's document as one HTML page with its scripts."""
