"""Where rows lie: the spool on disk, the database with its ledger, and the way between them."""
