"""Make the embedded tokenizer, models and data again: `python -m scripts.make_pocket STEP DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.make_pocket", description=__doc__)
    parser.add_argument(
        "step", choices=("tokenizer", "pretrain", "instruct", "data"), help="what to make"
    )
    parser.add_argument(
        "directory", type=Path, help="where to write it; pretrain reads DIR/tokenizer"
    )
    parser.add_argument(
        "--model",
        default="opt-1.4m",
        help="pretrain, instruct: which base model (default: %(default)s)",
    )
    arguments = parser.parse_args()
    if arguments.step == "data":
        from pytest_ftcompare.pocket.data import make_data

        make_data(arguments.directory)
    elif arguments.step == "tokenizer":
        from pytest_ftcompare.pocket.tokenizer import train_tokenizer

        train_tokenizer(arguments.directory / "tokenizer")
    elif arguments.step == "instruct":
        from scripts.tune_pocket import instruct

        instruct(arguments.model, arguments.directory / f"{arguments.model}-instruct")
    else:
        from pytest_ftcompare.pocket.pretrain import pretrain

        pretrain(
            arguments.model,
            arguments.directory / "tokenizer",
            arguments.directory / arguments.model,
        )


if __name__ == "__main__":
    main()
