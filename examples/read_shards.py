"""Read a data set in a training loop: `python examples/read_shards.py demo`."""

import sys
from pathlib import Path

import webdataset as wds


def main(root: Path) -> None:
    """Print the shapes of the first samples of the train split."""
    tars = sorted(str(tar) for tar in (root / "data").glob("train-*.tar"))
    pairs = wds.WebDataset(tars, shardshuffle=False).decode("rgb8").to_tuple("rgb.png", "alpha.png", "fg.png", "json")
    for rgb, alpha, foreground, meta in pairs.slice(4):
        # "rgb8" gives the grey alpha three equal channels: one is enough.
        print(meta["key"], meta["caption"], rgb.shape, alpha[..., 0].shape, foreground.shape, meta["scores"]["gsg"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
