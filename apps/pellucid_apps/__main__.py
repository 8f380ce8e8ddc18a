"""python -m pellucid_apps: the `pellucid` command without its script."""

from .cli import main

if __name__ == "__main__":
    main()
