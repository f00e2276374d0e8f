"""Which of several models reads: the active one, the same in every worker, and how that changes.

A shadow reads along; drift tells whether films are still what the active one was measured on.
"""
