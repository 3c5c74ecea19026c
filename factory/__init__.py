"""A data factory for image matting: prompts in, verified (picture, alpha, foreground) shards out.

    import factory

    samples = factory.open("runs/objects")
    samples[0].alpha                                             # (H, W) uint8; 0 and 255 mean exactly 0 and 1
    large = samples.where(pyarrow.compute.field("coverage") > 0.2)
    loader = torch.utils.data.DataLoader(large.torch(), batch_size=8, num_workers=2)

Sets are made from the command line: `factory --help`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from os import PathLike

    from factory.shards.data_set import DataSet

__all__ = ["open"]
__version__ = "0.1.0"


def open(folder: "str | PathLike[str]") -> "DataSet":
    """The samples of a data set folder, of a finished set or of what is committed of one in the making.

    A sample      samples[0], samples["0000000003"], for sample in samples: its .rgb, .alpha and .foreground are 8-bit
                  arrays, .meta is its JSON, .key its name in the set.
    A view        samples[10:20], samples.split("validation"), samples.where(pyarrow.compute.field("coverage") > 0.2):
                  no picture is read yet.
    Their rows    samples.keys, samples.splits, samples.manifest; samples.attempts has the rejected and failed ones too.
    For trainers  samples.torch(): a stream of tensors.

    All of it: help(factory.shards.data_set).

    Raises factory.errors.UsageError where the folder is no data set.
    """
    from pathlib import Path  # noqa: PLC0415  (`import factory` stays light)

    from factory.home import at_home  # noqa: PLC0415
    from factory.shards.data_set import DataSet  # noqa: PLC0415

    return DataSet(at_home(Path(folder)))
