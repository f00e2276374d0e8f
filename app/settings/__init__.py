"""Every ``NEUMO_*`` setting. `settings` holds the whole; a subject of its own is a module here."""
