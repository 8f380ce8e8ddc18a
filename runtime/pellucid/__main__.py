"""`python -m pellucid`: the command, which is a package of its own."""

import runpy

if __name__ == "__main__":
    # By its name: the library itself never depends on what is built on it.
    runpy.run_module("pellucid_apps", run_name="__main__", alter_sys=True)
