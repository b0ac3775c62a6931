"""What was measured: records, the log of a run as it grows, and what is kept on disk.

Not here: torch, HTTP, and what the numbers mean (analysis).
"""
