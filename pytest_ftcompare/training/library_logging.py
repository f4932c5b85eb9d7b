"""Keep libraries quiet: no progress bars and no advice of theirs within a test's or a script's output."""

from __future__ import annotations

import logging


def quiet() -> None:
    """For this process."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for name in ("bitsandbytes", "kernels"):  # they say that they would like other packages
        logging.getLogger(name).setLevel(logging.ERROR)
