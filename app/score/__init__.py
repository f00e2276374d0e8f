"""Archives: films of a folder, a manifest or an object store in, Parquet out, to the last film.

A run lists its films once, has them read by processes of the same `Reader` as the service's, and
writes parts that are there whole or not at all. What was written stands in a ledger, so a run that
was killed goes on where it was: nothing twice, nothing missing.
"""
