"""Real parts for tests, the demo and the sandbox: control plane, Docker engines, images and ways in.

Only the standard library is used, so that `python3 -m realparts` works before anything is installed.
Used by the Makefile and by the fixtures of tests/conftest.py.
"""
