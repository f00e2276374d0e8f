"""Compare: two models on the same images, paired by patient.

`comparison.compare` reads or asks both and works out the differences, `comparison_page` writes
them out: a table for a terminal, a page of HTML.
"""
