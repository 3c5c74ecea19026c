"""Read a data set in a training loop: `python examples/read_shards.py demo`."""

import sys

from torch.utils.data import DataLoader

import factory


def main(folder: str) -> None:
    """Print what the first samples are, as arrays and as a trainer's batches."""
    samples = factory.open(folder)
    print(samples, samples.splits)
    for sample in samples[:4]:
        print(sample.key, sample.meta["caption"], sample.rgb.shape, sample.alpha.shape, sample.meta["scores"]["gsg"])
    for batch in DataLoader(samples.torch(shuffle=1000, seed=0), batch_size=4, num_workers=2):
        print(batch["key"], tuple(batch["rgb"].shape), tuple(batch["alpha"].shape), tuple(batch["fg"].shape))


if __name__ == "__main__":
    main(sys.argv[1])
