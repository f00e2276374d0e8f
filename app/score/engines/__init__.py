"""Engines: what has chunks of films read and hands rows back in order, on this machine or on many.

The only room that knows Ray, and only where it is asked for.
"""
