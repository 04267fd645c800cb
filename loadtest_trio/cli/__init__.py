"""The commands, one module each: options and execution.

A command raises this package's exceptions; `main.py` turns them into a message and an exit code.
"""
