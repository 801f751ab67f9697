"""`python -m nbops`."""

from nbops.cli.main import main

main()
