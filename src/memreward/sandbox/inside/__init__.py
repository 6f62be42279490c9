"""What runs inside of the sandbox's own processes, from `keeper.main` on: standard library, no site-packages."""
