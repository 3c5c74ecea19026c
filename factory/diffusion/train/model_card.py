"""The model card, OUT/model/README.md: what the model is, learnt from, and how to use it."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import yaml
from safetensors import safe_open

from factory.diffusion import model_files
from factory.diffusion.sample.settings import SamplerSettings
from factory.diffusion.train import data as training_data
from factory.diffusion.train.sets import SetFacts
from factory.diffusion.train.settings import FREE, TrainSettings, is_joint
from factory.diffusion.vocabulary import Vocabulary
from factory.shards.markdown import environment
from factory.training.folder import FINISHED_FILE, LOG_FILE
from factory.training.log import VALIDATION, read_log

JOINT_PARTS = ("transformer", "vae", "matting_head")  # of a joint model, whose readers of text are many


def model_card(
    settings: TrainSettings,
    out: Path,
    sets: Sequence[SetFacts],
    sampler: SamplerSettings | None,
    known: Vocabulary | None,
) -> str:
    """The whole README.md of the finished training in `out`.  sampler: None of a joint model."""
    joint = is_joint(Path(settings.base))
    title = f"DiffuMatting {out.resolve().name}"
    record = json.loads((out / FINISHED_FILE).read_text(encoding="utf-8"))
    captions = settings.picture_prompts or [caption for _, caption in sets[0].captions]
    body = (
        environment("factory.diffusion.train", ".")
        .get_template("model_card.md.j2")
        .render(
            title=title,
            s=settings,
            base=Path(settings.base).name,
            joint=joint,
            weights=_weights(out / "model", JOINT_PARTS if joint else model_files.PARTS),
            sampler=sampler,
            prompt=training_data.templated(captions, settings.template, settings.key)[0],
            known=known,
            binary=sum(one.binary for one in sets),
            sets=sets,
            record=record,
            duration=_duration(record["seconds"]),
            phases=list(zip(settings.phases, _last_losses(settings, out), strict=True)),
            recipe=_recipe(settings),
        )
    )
    return f"---\n{_front_matter(settings, title)}---\n{body}"


def _front_matter(settings: TrainSettings, title: str) -> str:
    """The hub's fields. `license` is also what `factory generate` writes into its samples."""
    licence = settings.licence or (model_files.licence(Path(settings.base)) if settings.base else "")
    fields = {
        "license": licence or "unknown",
        "model_name": title,
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["image-matting", "alpha-matte", "green-screen", "diffumatting", "stable-diffusion"],
    }
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _weights(model: Path, parts: Sequence[str]) -> list[tuple[str, int]]:
    """Numbers per part, read from the files' headers."""
    counts = []
    for part in parts:
        count = 0
        for path in sorted((model / part).glob("*.safetensors")):
            with safe_open(path, framework="np") as file:
                for key in file.keys():  # noqa: SIM118 - safe_open is no mapping
                    size = 1
                    for side in file.get_slice(key).get_shape():
                        size *= side
                    count += size
        counts.append((part, count))
    return counts


def _last_losses(settings: TrainSettings, out: Path) -> list[str]:
    """For each phase its losses, averaged over the last tenth of its log."""
    log = read_log(out / LOG_FILE)
    texts = []
    for number in range(len(settings.phases)):
        records = [one["losses"] for one in log if one["phase"] == number and one["name"] != VALIDATION]
        tail = records[-max(1, len(records) // 10) :]
        means = {name: sum(losses[name] for losses in tail) / len(tail) for name in tail[0]} if tail else {}
        texts.append(", ".join(f"{name} {value:.4g}" for name, value in means.items()) or "–")
    return texts


def _recipe(settings: TrainSettings) -> str:
    """All fields that decide weights, as YAML; folders by their names alone."""
    fields = {name: value for name, value in asdict(settings).items() if name not in FREE}
    fields["base"] = Path(settings.base).name
    places = ("folder", "backgrounds")
    fields["data"] = [entry | {place: Path(entry[place]).name for place in places} for entry in fields["data"]]
    return yaml.safe_dump(
        {"train": json.loads(json.dumps(fields))}, sort_keys=False, default_flow_style=None, width=110
    )


def _duration(seconds: float) -> str:
    """Like "52 minutes" or "3.1 days"."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.0f} seconds"
