"""What is done in a cell: a network is trained on the arm's sets, makes mattes of the fold's pictures, is measured."""

from collections.abc import Sequence
from pathlib import Path

from factory.errors import DataError
from factory.experiments.cells import Measured
from factory.experiments.matting.cell import MattingCell
from factory.matting.applying import TILE
from factory.quality.evaluation import evaluate
from factory.quality.matte_sets import find_mattes
from factory.training.folder import STATE_FILE
from factory.training.progress import TrainingProgress


def train_and_measure(cell: MattingCell, folder: Path) -> Sequence[Measured]:
    """Every arm alike: the averaged weights of the last step, mattes of whole pictures.

    Goes on where an earlier try was killed, to the same weights.
    """
    from factory.matting.picture_trimaps import given_trimaps  # noqa: PLC0415  (what follows imports torch)
    from factory.matting.pictures import Mattes, matte_pictures  # noqa: PLC0415
    from factory.matting.train.trainer import train  # noqa: PLC0415

    network = train(cell.training, folder / "training", _nobody)
    trimaps = given_trimaps(find_mattes(cell.fold_folder / "trimaps"))
    mattes = folder / "mattes"
    made = matte_pictures(cell.fold_folder / "pictures", Mattes(network, trimaps, mattes, TILE))
    for name, sentence in made.faults:
        raise DataError("matte", f"{name}: {sentence}")
    errors = measured(cell, mattes)
    (folder / "training" / STATE_FILE).unlink(missing_ok=True)  # some ten times the network
    return errors


def _nobody(_: TrainingProgress) -> None:
    """Watches: many cells may be at work."""


def measured(cell: MattingCell, mattes: Path) -> Sequence[Measured]:
    """The errors of a folder of mattes, one for each test picture of the cell, in their trimaps' unknown region.

    Raises DataError where a picture could not be measured: a mean over the others could not be compared.
    """
    evaluation = evaluate(mattes, cell.fold_folder / "alphas", trimap=cell.fold_folder / "trimaps")
    for fault in evaluation.faults:
        raise DataError(fault.kind, f"{fault.name}: {fault.sentence}")
    return [
        Measured(score.name, {"sad": own.sad, "mse": own.mse, "grad": own.grad, "conn": own.conn})
        for score in evaluation.scores
        for own in [score.errors]
    ]
