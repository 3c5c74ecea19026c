"""Mattes of clips before any background: masks in, steady α and foreground out."""
