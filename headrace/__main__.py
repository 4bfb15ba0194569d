"""`python -m headrace` is the command line."""

from headrace.runtime.cli.main import main

if __name__ == "__main__":
    main()
