"""`python -m syncengine` is `syncengine`."""

from syncengine.cli import main

main()
