"""Processes and sockets; the only room that knows uvicorn.

Processes: `supervisor` is the parent, `worker` a forked process as the parent sees it,
`uvicorn_server` what runs in it. `acceptor` takes connections from the port that all workers share,
and `balance` says whose turn it is.

Sockets: `connection` speaks HTTP with one client, by the states of `connection_state` and within
`connection_rules`.
`request_parser` turns bytes into requests, `request_cycle` is one request and its answer in ASGI's
terms, `flow` paces both ways.
"""
