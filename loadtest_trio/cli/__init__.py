"""One module a command: its options, and what it does with settings and environment.

A command raises this package's exceptions; `main.py` turns them into a line and an exit code.
"""
