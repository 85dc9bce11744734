"""`python -m queen.cli`, for environments without the `queen` script on the path."""

from queen.cli import main

main(prog_name="queen")
