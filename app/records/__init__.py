"""What is written down: the audit trail and the diagnoses that were confirmed later.

`trail.Trail` takes what the service saw and puts it, chained and signed, into a spool on disk and
from there into a database. `feedback` adds confirmed diagnoses, `performance` works out what the
answers were worth. Nothing here is imported unless `NEUMO_AUDIT_FOLDER` is set.
"""
