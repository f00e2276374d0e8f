"""DICOM: the bytes of a Part 10 file -> `film.decode_film` -> `GreyImage`, shown by the standard.

Needs the extra `dicom`; the only room that imports pydicom and imagecodecs, and is itself imported
by the first DICOM file. Nothing of a file is quoted in an error, logged, or kept on disk.
"""
