"""`python -m freehold`, and the `freehold` command."""

from freehold.cli import main

if __name__ == "__main__":
    main()
