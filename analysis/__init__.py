"""What it means: formulas, figures, the verdict, mistakes. Numbers in, numbers and words out.

Not here: torch, files, threads, HTTP.
"""
