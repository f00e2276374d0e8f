"""Damaged and invented inputs by the hundred thousand, for all that reads what others wrote.

    make fuzz INPUTS=200000
    python -m tests.fuzz --inputs 200000 --only png,wire
    python -m tests.fuzz --again tests/fuzz/corpus/wire/tags-17.http

- `target`: one thing that reads bytes, and what may come of it.
- `driver`: runs targets in a process of their own and saves what crashed, hung or was wrong.
- `pictures`, `dicom_films`, `documents`, `words`, `tensors`, `wire`: the targets, by family.
- `corpus/TARGET/`: inputs that once went wrong, here or elsewhere; every one is run by the tests.
"""
