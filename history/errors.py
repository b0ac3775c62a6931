"""Errors: what can go wrong with the history, in words for those who use it."""

import sqlite3


class StoreError(Exception):
    """The runs directory cannot be used; the message says why and what to do."""


class NotSaved(Exception):
    """A change to the history could not be written; the message says why."""


class UnknownRun(KeyError):
    """No run of that name is in the store."""


class UnknownItem(KeyError):
    """No comparison of that name waits in the line."""


class Damaged(sqlite3.DatabaseError):
    """The history can be opened, but what it holds cannot be right."""
