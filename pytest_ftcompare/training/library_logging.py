"""Silence libraries: no progress bars and no advice in the output of a test or a script."""

from __future__ import annotations

import logging


def quiet() -> None:
    """Silence libraries for this process."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # These two recommend other packages.
    for name in ("bitsandbytes", "kernels"):
        logging.getLogger(name).setLevel(logging.ERROR)
