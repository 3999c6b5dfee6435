"""`python -m aiprism` is the `aiprism` command."""

from aiprism.cli import main

if __name__ == "__main__":
    main()
