"""The keyer: screen, clean plate, α and foreground of real frames, unattended. frame.py keys one frame with the rest."""
