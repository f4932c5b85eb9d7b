"""Install the pretended GPU at the start of each Python process of a rehearsal.

tests/pretended_gpu.py puts this folder first in PYTHONPATH, which pytest's workers and the gate's
fresh processes inherit.
"""

from tests.pretended_gpu import install

install().__enter__()
