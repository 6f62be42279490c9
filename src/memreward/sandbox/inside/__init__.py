"""What runs inside of the sandbox's own processes: standard library only, started without site-packages.

`keeper.main` is the program; `solution`, `trial` and `program` are what it forks to run foreign code.
"""
