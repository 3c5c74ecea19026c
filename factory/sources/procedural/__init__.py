"""Procedural objects: classes drawn by code, with exact coverage, for any seed and size."""
