"""``python -m capacity``."""

from capacity.cli import main

if __name__ == "__main__":
    main()
