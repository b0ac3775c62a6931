"""What a browser asks for: one file a subject.

Not here: anything that holds without a browser. Flask is known here and in server.py alone.
"""
