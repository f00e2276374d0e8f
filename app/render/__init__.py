"""Rendering: one Reading, many shapes (JSON, PNG), and an error's. Languages are looked up here."""
