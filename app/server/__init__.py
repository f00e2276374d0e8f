"""Processes and sockets; the only room that knows uvicorn.

`supervisor` is the parent, `worker` a forked process as the parent sees it, `uvicorn_server` what
runs in it. `acceptor` takes connections from the port that all workers share, and `balance` says
whose turn it is; `connection/` speaks HTTP with one client.
"""
