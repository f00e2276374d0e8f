"""Processes and sockets: `supervisor` keeps each `worker` alive, `connection` speaks HTTP.

The only room that knows uvicorn.
"""
