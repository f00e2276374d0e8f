"""Data: a manifest or folders of labelled X-rays, checked, divided by patient, as pixels."""
