"""What a training reads beside its settings, by content: a folder that was started with other sets is refused."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from factory.engine.counting import counting
from factory.errors import UsageError
from factory.matting.data.backgrounds import find_backgrounds
from factory.matting.data.material import OpenSet, open_sets
from factory.matting.data.settings import check as check_loader
from factory.matting.leakage import HeldOut, find_leaks, leaks_of_backgrounds, leaks_sentence
from factory.matting.networks.folder import look
from factory.matting.networks.kinds import checked
from factory.matting.train.settings import FREE, MattingTraining
from factory.models.folder import read_json
from factory.shards.commit import sha256_of
from factory.shards.durable import write_json
from factory.shards.finalise import read_finished
from factory.shards.layout import Layout
from factory.training.folder import is_begun
from factory.training.pinned_settings import pin_settings

INPUTS_FILE = "inputs.json"


def check_inputs(settings: MattingTraining) -> tuple[OpenSet, ...]:
    """The sets that are learned from. Raises UsageError for what cannot be trained, or learned from."""
    loader = settings.loader
    check_loader(loader)
    checked(settings.network, settings.options)
    if settings.begin and (kind := look(Path(settings.begin)).kind) != settings.network:
        raise UsageError(f"train.begin: {settings.begin} holds a network {kind!r}: set train.network to that.")
    for entry in (*loader.sets, *settings.validation):
        content_of(Path(entry.path))
    if loader.backgrounds is not None:
        find_backgrounds(loader.backgrounds)
    learned = {(Path(entry.path).resolve(), entry.split) for entry in loader.sets}
    for entry in settings.validation:
        if (Path(entry.path).resolve(), entry.split) in learned:
            raise UsageError(
                f"train.validation names {entry.path}, split {entry.split}, which is learned from: leave it out."
            )
    open_sets(settings.validation, loader.binary)
    return open_sets(loader.sets, loader.binary)


def check_leaks(settings: MattingTraining) -> None:
    """Raises UsageError where a sample shows a picture that the network will be tested on."""
    tests = [HeldOut(Path(one.pictures), Path(one.mattes) if one.mattes else None) for one in settings.tests]
    if not tests:
        return
    if settings.loader.backgrounds and (same := leaks_of_backgrounds(Path(settings.loader.backgrounds), tests)):
        raise UsageError(same)
    by_split: dict[str, list[Path]] = {}
    for entry in settings.loader.sets:
        by_split.setdefault(entry.split, []).append(Path(entry.path))
    with counting("test pictures looked for") as progress:
        leaks = [leak for split, sets in by_split.items() for leak in find_leaks(sets, tests, split, progress)]
    if leaks:
        raise UsageError(leaks_sentence(leaks))


def pin_inputs(settings: MattingTraining, out: Path) -> None:
    """Write down what the folder is trained with; in a started one it must be the same. Raises UsageError."""
    here, file = inputs_of(settings), out / INPUTS_FILE
    if file.is_file() and is_begun(out):
        there = read_json(file)
        if changed := [name for name, digest in here.items() if there.get(name) != digest]:
            raise UsageError(f"{', '.join(changed)} changed since {out} was begun: train into another --out.")
    else:
        write_json(file, here, Layout(out).scratch)


def inputs_of(settings: MattingTraining) -> Mapping[str, str]:
    """By path: sets by what their tars hold, the network begun with by its weights, backgrounds by names and sizes."""
    inputs = {entry.path: content_of(Path(entry.path)) for entry in settings.loader.sets}
    if settings.begin:
        inputs[settings.begin] = look(Path(settings.begin)).fingerprint
    if settings.loader.backgrounds is not None:
        inputs[settings.loader.backgrounds] = _listing(settings.loader.backgrounds)
    return inputs


def content_of(folder: Path) -> str:
    """SHA-256 of what a set holds. Raises UsageError for one that is not finished: it would be another tomorrow."""
    layout = Layout(folder)
    if (finished := read_finished(layout)) is not None:
        return finished.shards
    if not layout.plan.exists() and layout.manifest.is_file():  # handed on without its records
        return sha256_of(layout.manifest)
    mend = "run the command that makes it again" if folder.exists() else "there is no such folder; correct the recipe"
    raise UsageError(f"{folder} is not a finished data set: {mend}.")


def _listing(folder: str) -> str:
    backgrounds, digest = find_backgrounds(folder), hashlib.sha256()
    for name in backgrounds.names:
        digest.update(f"{name}\0{(backgrounds.folder / name).stat().st_size}\0".encode())
    return digest.hexdigest()


def pin(settings: MattingTraining, out: Path) -> None:
    """The folder belongs to the settings, sets and weights that it was started with. Raises UsageError."""
    check_inputs(settings)
    pin_settings(settings, out, free=FREE)
    pin_inputs(settings, out)
