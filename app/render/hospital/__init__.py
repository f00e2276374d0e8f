"""A Reading as hospital systems file it: DICOM SR, Secondary Capture, FHIR R4.

`result_set.make_results` makes them all; what a result is of comes from `source_image`. Needs the
extra `hospital`; the only room that imports highdicom, and is itself imported by the first result.
The patient's name and numbers go into what must carry them, and nowhere else.
"""
