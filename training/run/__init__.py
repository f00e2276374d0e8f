"""Run: the folder of a run, which keeps every epoch, and what was said on the way.

`checkpoint.RunFolder` is resumed to the bit; `progress.Journal` is what people look at.
"""
