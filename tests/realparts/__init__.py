"""Real parts for tests, the demo and the sandbox: control plane, Docker engines, images and ways in.

Only the standard library is used, so that `python3 -m realparts` works before anything is installed.
Used by the Makefile and by the fixtures of tests/conftest.py.
"""

import sys

# Said before anything fails for a reason that is hard to read.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("Python 3.11 or newer is needed: make PYTHON3=/path/to/python3.11 …")
