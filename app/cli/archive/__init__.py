"""Commands for archives: many films, for hours."""
