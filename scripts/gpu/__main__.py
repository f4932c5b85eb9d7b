"""Measure this machine's GPU: `make gpu`, or `python -m scripts.gpu [PIECE ...]`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.gpu.card import why_no_gpu
from scripts.gpu.process import call_apart


def main(arguments: Sequence[str]) -> int:
    """Run the pieces; return 0, 1 if a piece is stuck, or 2 if nothing could run."""
    parser = argparse.ArgumentParser(prog="python -m scripts.gpu", description=__doc__)
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help="default: all, in order")
    parser.add_argument("--records", type=Path, default=Path("docs/gpu"), help="their folder")
    parser.add_argument("--fresh", action="store_true", help="drop these pieces' records first")
    parser.add_argument("--retry", action="store_true", help="repeat the units that failed")
    options = parser.parse_args(arguments)
    if reason := call_apart(why_no_gpu):
        print(reason, file=sys.stderr)
        return 2
    # Not before, because these import libraries for seconds.
    from scripts.gpu.command import Refused, choose, run
    from scripts.gpu.scope import Scope

    try:
        return run(
            choose(options.pieces),
            Scope(),
            options.records,
            fresh=options.fresh,
            retry=options.retry,
        )
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: `make gpu` goes on from here", file=sys.stderr)
        return 130


if __name__ == "__main__":
    # Otherwise the piece's process would go on alone.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
