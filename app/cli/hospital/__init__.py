"""Commands for hospital systems: what is filed of a film beside it."""
