"""The keyer: screen, clean plate, α and foreground of real frames, unattended. frame.py keys one frame by the rest."""
