"""`python -m rialto` is `rialto`."""

from rialto.cli import main

main()
