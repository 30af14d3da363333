"""``python -m braindash`` is the command ``braindash``."""

from braindash.cli import main

if __name__ == "__main__":
    main()
