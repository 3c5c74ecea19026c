"""Style pictures in a plan: IP-Adapters, looked at and frozen by content."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from factory.diffusion.control.fitting import SD, T2I, XL
from factory.diffusion.control.planning import SETTINGS as CONTROLS
from factory.diffusion.control.planning import fingerprint
from factory.diffusion.control.settings import Style
from factory.diffusion.plain.folder import read_index
from factory.engine.draft import Draft
from factory.engine.plan import Plan
from factory.errors import UsageError
from factory.models.folder import check_weights, read_json
from factory.models.planned_file import plan_file
from factory.models.weights import shapes_in, weights_file
from factory.settings import settings

SETTINGS = "styles"  # of a plan
ENCODER = "image_encoder"
PROJECTED, RESAMPLED = "image_proj.proj.weight", "image_proj.proj_in.weight"  # IP-Adapter's, and IP-Adapter Plus's
FIRST = "ip_adapter.1.to_k_ip.weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStyle:
    """As `settings.Style`, but for the place."""

    column: str
    weight: float


def plan_styles(styles: Sequence[Style], base: Path, draft: Draft, *, plain: bool) -> None:
    """Freeze the adapters and their image encoders. Raises UsageError for one that does not fit the base.

    base: the model's folder.  plain: whether a pipeline of diffusers paints with them, and not our own loop.
    """
    for index, style in enumerate(styles):
        name = f"--style {style.model}"
        if plain and (pipeline := read_index(base).pipeline) not in (SD, XL):
            raise UsageError(f"{name}: IP-Adapters are read for {SD} and {XL} here, and {base} is for {pipeline}.")
        if plain and pipeline == SD and any(own["network"] == T2I for own in draft.settings.get(CONTROLS, ())):
            raise UsageError(f"{name}: {SD} takes no IP-Adapter beside a {T2I}: leave one of them out.")
        encoder = style.model / ENCODER
        if not encoder.is_dir():
            raise UsageError(
                f"{name}: there is no {ENCODER}/ in it: copy the encoder that the adapter was taught with."
            )
        check_weights(encoder)
        file = weights_file(style.model, "--style")
        _check_fit(name, shapes_in(file), encoder, base)
        plan_file(name_of(index), file, draft)
        draft.weights[encoder_of(index)] = fingerprint(encoder)
        draft.places[encoder_of(index)] = str(encoder.resolve())
        draft.remarks.append(f"in the style of `{style.column}`: {style.model}")
    if styles:
        said = [PlannedStyle(column=style.column, weight=float(style.weight)) for style in styles]
        draft.settings[SETTINGS] = [asdict(one) for one in said]


def planned_styles(plan: Plan) -> list[PlannedStyle]:
    """In their order."""
    return [settings(PlannedStyle, one) for one in plan.settings.get(SETTINGS, ())]


def with_styles(model: str, plan: Plan) -> str:
    """The fingerprint of what paints: of the model alone, or with a plan's style adapters."""
    styles = plan.settings.get(SETTINGS, ())
    if not styles:
        return model
    total = sha256(model.encode())
    for index, said in enumerate(styles):
        both = f"{plan.weights[name_of(index)]} {plan.weights[encoder_of(index)]}"
        total.update(f"\n{both} {sorted(said.items())!r}".encode())
    return total.hexdigest()


def name_of(index: int) -> str:
    """Under which a plan holds an adapter's file."""
    return f"style_{index}"


def encoder_of(index: int) -> str:
    """Under which a plan holds its image encoder."""
    return f"style_{index}_encoder"


def _check_fit(name: str, shapes: Mapping[str, tuple[int, ...]], encoder: Path, base: Path) -> None:
    if strangers := [key for key in shapes if not key.startswith(("image_proj.", "ip_adapter."))]:
        raise UsageError(f"{name} has a key {strangers[0]}, which is no IP-Adapter's: give another file.")
    kind = next((kind for kind in (PROJECTED, RESAMPLED) if kind in shapes), None)
    if kind is None or FIRST not in shapes or any("lora" in key for key in shapes):
        raise UsageError(
            f"{name} is no IP-Adapter or IP-Adapter Plus: those for faces (FaceID, Full Face) are not read."
        )
    text = read_json(base / "unet" / "config.json").get("cross_attention_dim")
    if shapes[FIRST][-1] != text:
        raise UsageError(
            f"{name} is for another base: it was taught with texts of {shapes[FIRST][-1]} numbers a token, "
            f"those of {base} have {text}."
        )
    told = read_json(encoder / "config.json").get("projection_dim" if kind == PROJECTED else "hidden_size")
    if shapes[kind][-1] != told:
        raise UsageError(
            f"{name} reads {shapes[kind][-1]} numbers a picture, its {ENCODER} tells {told}: take its own."
        )
