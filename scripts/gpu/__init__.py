"""Measure a GPU in its first hour, in pieces that end within eight minutes: `make gpu`.

    __main__.py       the command: refuse, run the pieces in order, say what they gave
    scope.py          what is measured: cases, windows, suites; a rehearsal makes it smaller
    card.py           which GPU this is, and why there is none
    record.py         a piece's record: a JSON file that belongs to one GPU and its versions
    piece.py          a piece and its units of work, run until all are on record or time is up
    process.py        runs each piece in a process of its own
    table.py          a table on the terminal and on docs/gpu.md
    smoke.py ...      one file for each piece, listed in pieces.py

scripts/docs_gpu.py makes docs/gpu.md from the records. tests/gpu_rehearsal.py runs all of it on a
pretended GPU.
"""
