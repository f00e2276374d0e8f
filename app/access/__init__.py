"""Who may ask for what. It knows no HTTP: a door hands in what a caller showed."""
