"""Holdout: the recipe trained without each source in turn, and what that says of a new hospital.

`holdout.hold_out` trains the folds, `record.read_record` gives what a release takes from them:
temperature, operating points, certainty, the factor of the distance, and the figures by source.
"""
