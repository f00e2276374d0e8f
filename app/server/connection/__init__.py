"""One client's connection, from its bytes to ASGI and back.

`connection` speaks HTTP with it, by the states of `connection_state` and within
`connection_rules`. `request_parser` turns bytes into requests, `request_cycle` is one request and
its answer in ASGI's terms, `flow` paces both ways.
"""
