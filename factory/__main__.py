"""`python -m factory`."""

from factory.cli import main

main()
