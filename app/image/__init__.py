"""Images: the bytes of a file -> `decode.GreyImage` -> uint8 [1, 224, 224] by `resize`.

The only preprocessing in the project: training reads its images through this room too.
"""
