"""Neumo's training half: labelled X-rays in, a model bundle out.

``data`` -> ``fit`` -> ``export`` -> ``calibrate`` -> ``evaluate`` -> ``card``; ``cli`` runs
them in that order. Reads images through `app.image.decode`, writes what `app.model.bundle` reads.
"""
