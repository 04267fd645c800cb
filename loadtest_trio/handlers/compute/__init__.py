"""CPU-bound work: exact factorials and chains of SHA-512.

What is estimated under a millisecond runs on the event loop; what takes longer goes through the `ComputePool`
to a worker process, which imports `kernels.py` and nothing else of ours.
"""
