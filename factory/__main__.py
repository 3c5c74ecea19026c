"""`python -m factory`."""

from factory.cli.app import main

main()
