"""The kinds of work: a handler takes a message, does its work, and returns a result or raises.

The worker knows only the registry (`registry.py`). A new kind of work is one more handler and one line in
`kinds_of_work.py`. Nothing is imported here, because worker processes would import it with
`compute/kernels.py`.
"""
