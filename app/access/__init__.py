"""Who may ask for what, and how often. It knows no HTTP: a door hands in what a caller showed.

`access` decides, by a `keyring` of `key`s read from a `key_file`, by `tokens` of an `issuer` (the
extra `oidc`), or by a client certificate; `rates` are counted for all workers together.
"""
