"""What was measured of a model: by its makers (figures), at a hospital (acceptance)."""
