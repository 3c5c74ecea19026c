"""Training of the keyer's shape network (greenscreen/keyer/shape_network.py).

Scenes are drawn while it trains, each a pure function of (seed, step, place in the batch): no two are alike, and a
killed training goes on from its last saved state to the very weights of an uninterrupted one.
"""

import itertools
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from factory.engine.software import software
from factory.greenscreen.keyer.clues import clues, own_share
from factory.greenscreen.keyer.shape import WEIGHTS as SHIPPED
from factory.greenscreen.keyer.shape_network import MULTIPLE, Answers, ShapeNetwork
from factory.models.precision import autocast, device_name
from factory.models.weights import weights_file
from factory.refine.shape_weights import shape_weights
from factory.refine.train.objects import read_objects
from factory.refine.train.scenes import Cutout, scene
from factory.refine.train.settings import AS_SHIPPED, FREE, KeyerTraining, check_inputs
from factory.shards.durable import appearing, write_json
from factory.shards.layout import Layout
from factory.training.folder import FINISHED_FILE, STATE_FILE
from factory.training.loop import Loop, Pace
from factory.training.pinned_settings import pin_settings
from factory.training.progress import TrainingProgress
from factory.training.schedule import learning_rate
from factory.training.state import load_state

WEIGHTS_FILE = "shape.safetensors"
PHASE = "shape"
CLIP_NORM = 1.0
FORMATS = (1.0, 1.0, 0.75, 0.6)  # of a batch: its shorter side over the longer


class Batch(NamedTuple):
    """clues: (N, CLUES, H, W).  alpha, own: (N, H, W) in 0..1, own as in `shape_network.Answers`, but no logit."""

    clues: Tensor
    alpha: Tensor
    own: Tensor


def train(settings: KeyerTraining, out: Path, progress: Callable[[TrainingProgress], None]) -> Path:
    """Train in the folder `out`, or go on there; returns the file of weights (averaged, float16).

    Raises UsageError for other settings than the folder was started with.
    """
    check_inputs(settings)
    pin_settings(settings, out, free=FREE)
    weights, finished = out / WEIGHTS_FILE, out / FINISHED_FILE
    if finished.is_file():
        shape_weights(weights, "the training's")
    else:
        torch.set_num_threads(settings.threads)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        saved = load_state(out / STATE_FILE)
        loop = Loop(ShapeLesson(settings, device), _pace(settings), out, progress, state=saved)
        loop.run()
        half = {name: value.half().contiguous() for name, value in loop.averaged().items()}
        with appearing(weights, Layout(out).scratch) as file:
            file.write(save(half))
        machine = {"device": device_name(device), "software": dict(software())}
        write_json(finished, {"seconds": round(loop.seconds, 1), **machine})
    progress(TrainingProgress("finished", 0, 0, {}, 0.0, finished=True))
    return weights


def draw_batch(objects: Sequence[Cutout], settings: KeyerTraining, step: int) -> Batch:
    """The scenes of one step, all of one format."""
    random = [np.random.default_rng((settings.seed, step, place)) for place in range(settings.batch)]
    drawn = [scene(objects, settings.side, own) for own in random]
    seen = np.stack([clues(one.picture, one.plate, one.colour) for one in drawn])
    alpha = np.stack([one.alpha for one in drawn])
    own = np.stack([own_share(one.foreground, one.plate, one.colour) for one in drawn])
    narrow = round(float(random[0].choice(FORMATS)) * settings.side / MULTIPLE) * MULTIPLE
    begin = (settings.side - narrow) // 2
    part = [slice(None), slice(begin, begin + narrow)]
    rows, columns = part if random[0].random() < 0.5 else part[::-1]
    return Batch(*(torch.from_numpy(field[..., rows, columns].copy()) for field in (seen, alpha, own)))


def losses(answers: Answers, truth: Batch, settings: KeyerTraining) -> dict[str, Tensor]:
    """The parts of the loss, weighted.

    The deviation has a loss of its own, which does not move α: it learns the error that is left. An object's own share
    of the screen's colour counts as far as the object is there.
    """
    spread = answers.spread
    error = torch.sigmoid(answers.logits) - truth.alpha
    away = error.detach().abs()
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return {
        "absolute": error.abs().mean(),
        "square": settings.square_weight * error.square().mean(),
        "edges": settings.edge_weight * edges,
        "own": settings.own_weight * (truth.alpha * (torch.sigmoid(answers.own) - truth.own).abs()).mean(),
        "deviation": settings.deviation_weight * (away * torch.exp(-spread) + spread).mean(),
    }


class ShapeLesson:
    """The shape network, taught from scenes; those of the next step are drawn by a thread meanwhile."""

    def __init__(self, settings: KeyerTraining, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.objects = read_objects(settings.data)
        torch.manual_seed(settings.seed)
        self.network = ShapeNetwork().to(device)
        self.modules = {PHASE: self.network}
        if settings.begin:
            self.network.load_state_dict(_weights(settings.begin))
        groups = [{"params": list(self.network.parameters()), "base_lr": settings.lr}]
        self.optimizer = torch.optim.AdamW(groups, settings.lr, weight_decay=settings.weight_decay)

    def batches(self, step: int) -> Generator[Batch, None, None]:
        """The batches from a step on."""
        cv2.setNumThreads(1)
        with ThreadPoolExecutor(1) as drawing:
            coming = drawing.submit(draw_batch, self.objects, self.settings, step)
            for following in itertools.count(step + 1):
                batch = coming.result()
                coming = drawing.submit(draw_batch, self.objects, self.settings, following)
                yield batch

    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The parts of the loss, weighted."""
        seen = batch.clues.to(self.device)
        with autocast("auto", self.device):
            answers = network(seen)
        return losses(answers, Batch(*(field.to(self.device) for field in batch)), self.settings)

    def rate(self, base: float, step: int) -> float:
        """Down to zero by a cosine."""
        return learning_rate(base, step, steps=self.settings.steps, warmup=self.settings.warmup, decay="cosine")

    def validate(self, step: int) -> dict[str, float]:
        """Nothing is held back: no scene comes twice."""
        return {}


def _pace(s: KeyerTraining) -> Pace:
    return Pace(
        name=PHASE,
        steps=s.steps,
        batch=s.batch,
        ema=s.ema,
        clip_norm=CLIP_NORM,
        seed=s.seed,
        log_every=s.log_every,
        save_every=s.save_every,
    )


def _weights(begin: str) -> dict[str, Tensor]:
    file = SHIPPED if begin == AS_SHIPPED else weights_file(Path(begin), "train.begin")
    return {name: value.float() for name, value in load_file(file).items()}
