"""What was changed of the records' schema, one module a change; never edited once released."""
