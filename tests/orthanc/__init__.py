"""A real Orthanc beside a real `neumo receive`: what tests start, push, kill and count.

`python -m tests.orthanc` runs every fault with more films than the tests, and prints the table.
"""
