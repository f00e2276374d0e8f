"""The processes of `neumo receive`: one takes films from archives, another reads and delivers.

`receive_start.receive` runs them until told to stop; `exchange_supervisor` keeps them alive.
"""
