"""What leaves the program: files and pictures.

Not here: what the page shows (web).
"""
