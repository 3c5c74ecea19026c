"""Plan → production line, in a worker: which source, which stages, in which order."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from factory.engine.inputs import InputTable
from factory.engine.line import Line
from factory.engine.plan import Plan
from factory.errors import InputChanged
from factory.quality.gates import GateSettings, NearDuplicates, judge
from factory.quality.scores import ScoreSettings, score
from factory.refine.greenpost import GreenPostSettings, green_post
from factory.review.thumbnails import rejection_thumbnail
from factory.sample import Source, Stage
from factory.shards.encoding import encode
from factory.shards.layout import Layout
from factory.shards.marking import MarkingSettings
from factory.sources.captioning.captioned import Captioned, Recaptioned

T = TypeVar("T")


def settings(kind: type[T], value: Any) -> T:
    """A settings dataclass from its JSON."""
    return TypeAdapter(kind).validate_python(value)


def build(plan: Plan, root: Path) -> Line:
    """The line of a plan. `root` is the output folder; models and inputs are found through plan.places."""
    gates = settings(GateSettings, plan.settings["gates"])
    stages: dict[str, Stage] = {}
    if "greenpost" in plan.settings:
        greenpost = settings(GreenPostSettings, plan.settings["greenpost"])
        stages["greenpost"] = lambda sample: green_post(sample, greenpost)
    if "scores" in plan.settings:  # a filter has none: it judges by those that are recorded
        scores = settings(ScoreSettings, plan.settings["scores"])
        stages["score"] = lambda sample: score(sample, scores)
    stages["gates"] = lambda sample: judge(sample, gates)
    sources, device = _sources(plan, root)
    marking = settings(MarkingSettings, plan.settings["marking"])
    return Line(
        sources=sources,
        stages=stages,
        admission=lambda: NearDuplicates(gates),
        thumbnail=rejection_thumbnail,
        encode=lambda sample: encode(sample, marking),
        device=device,
    )


def _sources(plan: Plan, root: Path) -> tuple[Mapping[str, Source], str]:
    """By the names that the plan's segments use, and the device they run on."""
    match plan.job:
        case "generate":
            import torch  # noqa: PLC0415

            from factory.diffusion.sample.settings import SamplerSettings  # noqa: PLC0415
            from factory.diffusion.sample.source import DiffuMattingSource  # noqa: PLC0415

            sampler = settings(SamplerSettings, plan.settings["sampler"])
            device = "cuda" if torch.cuda.is_available() else "cpu"
            folder = Path(plan.places["diffumatting"])
            model = DiffuMattingSource(folder, sampler, plan.batch_size, device, licence=plan.settings["licence"])
            if model.model != plan.weights["diffumatting"]:
                raise InputChanged(
                    f"{folder} is not the model the run was planned with: restore it, or use a new --out."
                )
            return {"diffumatting": model}, torch.cuda.get_device_name() if device == "cuda" else "cpu"
        case "build-green100k":
            sources = {name: _object_source(plan, root, name) for name in plan.settings["sources"]}
            return _captioned(plan, sources) if "captioner" in plan.settings else (sources, "cpu")
        case _:
            from factory.sources.stored import StoredSamples  # noqa: PLC0415

            tars = InputTable(Layout(root).inputs / "tars.arrow").table
            stored = StoredSamples(Path(plan.places["input"]), tars)
            return {"dataset": Recaptioned(stored) if plan.job == "captions" else stored}, "cpu"


def _object_source(plan: Plan, root: Path, name: str) -> Source:
    """A source of a built set. What is to know of clips lies in a table beside that of their frames."""
    entry = plan.settings["sources"][name]
    match entry["type"]:
        case "procedural":
            from factory.sources.procedural import ProceduralObjects, ProceduralSettings  # noqa: PLC0415

            return ProceduralObjects(settings(ProceduralSettings, entry["settings"]))
        case "rgba_folder":
            from factory.sources.files.rgba_folder import RgbaFolder, RgbaSettings  # noqa: PLC0415

            return RgbaFolder(Path(plan.places[name]), settings(RgbaSettings, entry["settings"]))
        case "public":
            from factory.sources.files.matte_pairs import MattePairs, MattePairSettings  # noqa: PLC0415

            return MattePairs(Path(plan.places[name]), settings(MattePairSettings, entry["settings"]))
    from factory.greenscreen.keyer.settings import KeyerSettings  # noqa: PLC0415
    from factory.sources.clips.keyed import Clips  # noqa: PLC0415
    from factory.sources.clips.pairs import ClipPairs  # noqa: PLC0415
    from factory.sources.files.on_screen import FramingSettings  # noqa: PLC0415

    clips = InputTable(Layout(root).inputs / f"{name}-clips.arrow").table.to_pylist()
    folder, framing = Path(plan.places[name]), settings(FramingSettings, entry["settings"])
    if entry["type"] == "video_pairs":
        return ClipPairs(folder, clips, framing)
    return Clips(folder, clips, settings(KeyerSettings, entry["keyer"]), framing, entry["name"])


def _captioned(plan: Plan, sources: Mapping[str, Source]) -> tuple[Mapping[str, Source], str]:
    """The sources with a model that captions their samples, and the device it runs on."""
    import torch  # noqa: PLC0415

    from factory.sources.captioning.captioner import Captioner  # noqa: PLC0415
    from factory.sources.captioning.model import CaptionSettings  # noqa: PLC0415

    cuda = torch.cuda.is_available()
    folder = Path(plan.places["captioner"])
    captioner = Captioner(folder, settings(CaptionSettings, plan.settings["captioner"]), "cuda" if cuda else "cpu")
    if captioner.fingerprint != plan.weights["captioner"]:
        raise InputChanged(f"{folder} is not the model the run was planned with: restore it, or use a new --out.")
    captioned = {name: Captioned(source, captioner) for name, source in sources.items()}
    return captioned, torch.cuda.get_device_name() if cuda else "cpu"
