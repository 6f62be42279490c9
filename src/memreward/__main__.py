"""`python -m memreward` is `memreward`."""

from memreward.cli import main

main()
