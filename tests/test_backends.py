"""GreenPost may read α from a network of the user's: found, checked, planned by its hash, and one picture at a time."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from program import factory_here, hashes, mtimes
from safetensors.torch import load_file, save_file

from factory.engine.plan import Plan, read_plan
from factory.equation import constant_plate
from factory.errors import DataError, InputChanged, UsageError
from factory.jobs.generate import GenerateRecipe
from factory.jobs.prepare import prepare
from factory.jobs.refine import RefineRecipe
from factory.models.device import CPU
from factory.refine.bgmv2.checkpoint import load, recognised
from factory.refine.bgmv2.network import BACKBONES, BackgroundMatting
from factory.refine.bgmv2.refiner import Kernel
from factory.refine.greenpost import GreenPostSettings, green_post
from factory.refine.known_background import AgainstPlate, Told
from factory.refine.refiners import Refiners, planned, stages, want_a_device
from factory.sample import BatchStage, Origin, Request, Sample
from factory.shards.commit import sha256_of, valid_commits
from factory.shards.layout import Layout
from factory.shards.reader import read_samples
from factory.trust import TRUST

OLD_SET = Path(__file__).parent / "old_sets" / "built"
LOOSE = ("--set", "gates={duplicate_distance: -1, residual_max: 999, agreement_min: 0, coverage_max: 1, border_max: 1}")
HERE = ("--executor", "local", "--workers", "1")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def saved(path: Path, network: BackgroundMatting) -> Path:
    save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the smallest network, at random."""
    torch.manual_seed(0)
    return saved(tmp_path_factory.mktemp("weights") / "random.safetensors", BackgroundMatting("mobilenetv2", 3))


@pytest.fixture(scope="module")
def half(weights: Path) -> Path:
    """Of a network that says α = 1/2 everywhere."""
    network = load(weights, "cpu")
    torch.nn.init.zeros_(network.decoder.conv4.weight)
    torch.nn.init.constant_(network.decoder.conv4.bias, 0.5)
    return saved(weights.with_name("half.safetensors"), network)


def disc(side: int, radius: float) -> Sample:
    """A grey disc on green, and a mask with a soft rim."""
    y, x = np.mgrid[:side, :side] + 0.5 - side / 2
    inside = radius - np.hypot(x, y)
    alpha = np.clip(inside + 0.5, 0, 1)[..., None]
    picture = np.rint(alpha * 128 + (1 - alpha) * np.array([0, 255, 0])).astype(np.uint8)
    coarse = np.rint(255 * np.clip(inside / 4 + 0.5, 0, 1)).astype(np.uint8)
    request = Request(key="0000000000", slot=0, attempt=0, seed=0)
    return Sample(request=request, origin=Origin(kind="generated"), rgb=picture, coarse=coarse)


def bgmv2(weights: Path) -> BatchStage:
    return GreenPostSettings(backend="bgmv2").network(weights, CPU)


# ---- mattes


def test_the_network_decides_where_the_mask_does_not(half: Path) -> None:
    side, radius = 96, 30
    (told,) = bgmv2(half).begin()([disc(side, radius)])
    assert isinstance(told, Sample)
    made = green_post(told, GreenPostSettings(backend="bgmv2"))
    assert made.alpha is not None
    row = made.alpha[side // 2]
    assert row[side // 2] == 255, "deep inside the mask, where the colour does not speak against it"
    assert row[0] == row[-1] == 0, "far outside"
    assert row[side // 2 - radius] == row[side // 2 + radius] == 128
    assert set(np.unique(made.alpha)) == {0, 128, 255}
    assert (set(made.layers), made.origin.foreground) == ({TRUST}, "unmixed")
    assert made.plate == constant_plate((0, 255, 0))


def test_colours_are_unmixed_as_those_of_physics() -> None:
    """Where both find the same α they give the same colours."""
    sample = disc(96, 30)
    physics = green_post(sample, GreenPostSettings())
    (told,) = AgainstPlate(lambda *_: Told(as_told(physics)), "cpu").begin()([sample])
    assert isinstance(told, Sample)
    network = green_post(told, GreenPostSettings(backend="bgmv2"))
    assert np.array_equal(network.alpha, physics.alpha)
    assert np.array_equal(network.foreground, physics.foreground)


def as_told(sample: Sample) -> np.ndarray:
    assert sample.alpha is not None
    return (sample.alpha / 255).astype(np.float32)


def test_a_picture_gets_the_same_alpha_in_any_company(weights: Path) -> None:
    samples = [disc(48, 12), disc(64, 25), disc(48, 20)]
    stage = bgmv2(weights)
    for sample, told in zip(samples, stage.begin()(samples), strict=True):
        (alone,) = stage.begin()([sample])
        assert isinstance(told, Sample)
        assert isinstance(alone, Sample)
        assert told.layers.keys() == alone.layers.keys() != set()
        assert all(np.array_equal(told.layers[name], alone.layers[name]) for name in told.layers)


def test_a_bad_sample_costs_itself() -> None:
    def nan(picture: np.ndarray, plate: np.ndarray, coarse: np.ndarray) -> Told:
        return Told(np.full(coarse.shape, np.nan if picture.shape[0] == 64 else 0.5, np.float32))

    full = replace(disc(48, 12), coarse=np.full((48, 48), 255, np.uint8))
    first, second, third = AgainstPlate(nan, "cpu").begin()([full, disc(64, 20), disc(48, 12)])
    assert isinstance(first, DataError)
    assert isinstance(second, DataError)
    assert (first.kind, second.kind) == ("no_screen", "nan")
    assert isinstance(third, Sample)


def test_an_alpha_of_another_size_is_not_stretched() -> None:
    with pytest.raises(ValueError, match=r"α of shape \(1, 48\) for a picture of \(48, 48\)"):
        AgainstPlate(lambda *_: Told(np.ones((1, 48), np.float32)), "cpu").begin()([disc(48, 12)])


# ---- whole sets


def refined(out: Path, weights: Path) -> None:
    own = ("--backend", "bgmv2", "--weights", weights, "--out", out)
    ended = factory_here("refine", OLD_SET, *HERE, *LOOSE, *own)
    assert ended.code == 0, ended.err


@pytest.fixture(scope="module")
def made(half: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "set"
    refined(out, half)
    return out


def test_a_set_is_refined_with_it(made: Path, half: Path) -> None:
    assert factory_here("verify", made).code == 0
    plan = read_plan(Layout(made).plan)
    assert plan.settings["greenpost"]["backend"] == "bgmv2"
    assert plan.weights == {"greenpost": sha256_of(half)}
    assert plan.places["greenpost"] == str(half)
    assert str(half) not in str(plan.deciding())
    for record in valid_commits(Layout(made), plan.fingerprints):
        assert {"greenpost_network", "greenpost"} <= record.seconds.keys()
    before = {stored.key: stored for stored in read_samples(OLD_SET, "train")}
    after = list(read_samples(made, "train"))
    assert len(after) == 4
    assert all(np.array_equal(stored.rgb, before[stored.key].rgb) for stored in after)
    assert all(128 in stored.alpha and not np.array_equal(stored.alpha, before[stored.key].alpha) for stored in after)


def test_the_same_command_goes_on_and_moved_weights_are_the_same(made: Path, half: Path, tmp_path: Path) -> None:
    before = mtimes(made / "data")
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes(half.read_bytes())
    refined(made, moved)
    refined(made, half)
    assert factory_here("run", made / "recipe.yaml").code == 0
    assert mtimes(made / "data") == before


def test_other_weights_are_another_plan(made: Path, weights: Path) -> None:
    ended = factory_here("refine", OLD_SET, *HERE, *LOOSE, "--backend", "bgmv2", "--weights", weights, "--out", made)
    assert ended.code == 2
    assert "was started with other settings (weights.greenpost: " in ended.sentence


def test_batches_and_recipes_do_not_change_a_byte(made: Path, half: Path, tmp_path: Path) -> None:
    own = ("--set", "greenpost.backend=bgmv2", "--set", f"greenpost.weights={half.parent / 'only'}")
    (half.parent / "only").mkdir()
    (half.parent / "only" / "model.safetensors").write_bytes(half.read_bytes())
    ended = factory_here("refine", OLD_SET, *HERE, *LOOSE, *own, "--set", "batch=1", "--out", tmp_path / "set")
    assert ended.code == 0, ended.err
    assert tars(tmp_path / "set") == tars(made)


def tars(root: Path) -> dict[str, str]:
    return {name: own for name, own in hashes(root).items() if name.startswith("data/")}


def test_generate_plans_it_beside_its_model(half: Path, tmp_path: Path) -> None:
    recipe = GenerateRecipe.model_validate(
        {"out": tmp_path / "set", "n": 2, "greenpost": {"backend": "bgmv2", "weights": str(half)}}
    )
    plan = prepare(recipe).plan
    assert plan.weights.keys() == {"diffumatting", "greenpost"}
    assert list(stages(plan, CPU)) == ["greenpost_network", "greenpost"]
    assert want_a_device(recipe)
    assert not want_a_device(GenerateRecipe(out=tmp_path))


def test_without_it_no_plan_is_another() -> None:
    """As plans were before there was a choice."""
    assert planned(Refiners()) == {
        "greenpost": {
            **{"outside": 0.05, "inside": 0.95, "reach": 8.0, "depth": 5.0},
            **{"doubt": 0.4, "belief": 0.15, "black_point": 3.0, "despill_width": 3.0},
        }
    }


def test_a_worker_takes_no_other_file_than_the_planned_one(made: Path, half: Path, weights: Path) -> None:
    plan = read_plan(Layout(made).plan)
    assert list(stages(plan, CPU)) == ["greenpost_network", "greenpost"]
    for other in (weights, half.with_name("absent.safetensors")):
        with pytest.raises(InputChanged, match="is not the file the run was planned with"):
            stages(replace(plan, places={**plan.places, "greenpost": str(other)}), CPU)


# ---- our own keyer


def test_our_keyer_takes_a_stored_picture_with_its_stored_plate_and_no_word_of_the_old_matte() -> None:
    """The plate is not looked for again: outside an old matte that has nothing outside there is none."""
    stage = GreenPostSettings(backend="keyer").stage(CPU, 1)
    drawn = green_post(disc(96, 30), GreenPostSettings())
    assert drawn.alpha is not None
    spoilt = replace(drawn, coarse=None, alpha=np.full((96, 96), 255, np.uint8), plate=constant_plate((0, 255, 0)))
    made = stage(spoilt)
    assert isinstance(made, Sample) and made.alpha is not None and made.foreground is not None
    assert np.abs(made.alpha.astype(float) - drawn.alpha).max() <= 8
    assert (made.plate, made.origin.foreground) == (spoilt.plate, "unmixed")
    assert np.abs(made.foreground[made.alpha > 0].astype(float) - 128).max() <= 4
    painted = made.alpha[..., None] / 255 * made.foreground + (1 - made.alpha[..., None] / 255) * (0, 255, 0)
    assert np.abs(painted - made.rgb).max() <= 4
    with pytest.raises(DataError, match="nothing but its screen"):
        stage(replace(spoilt, rgb=np.full((96, 96, 3), (0, 255, 0), np.uint8)))


def test_a_picture_without_a_plate_is_keyed_near_its_mask() -> None:
    stage = GreenPostSettings(backend="keyer").stage(CPU, 1)
    fresh = disc(128, 30)
    rgb = fresh.rgb.copy()
    rgb[4:16, 4:16] = 128  # far from the mask
    made = stage(replace(fresh, rgb=rgb))
    assert isinstance(made, Sample) and made.alpha is not None
    assert made.alpha[64, 64] == 255
    assert not made.alpha[:20, :20].any()
    assert made.plate == constant_plate((0, 255, 0))


def test_our_keyer_needs_no_weights_and_no_device(tmp_path: Path, weights: Path) -> None:
    assert checked(None, "keyer") is None
    with pytest.raises(UsageError, match="keyer needs none"):
        checked(weights, "keyer")
    recipe = RefineRecipe.model_validate({"data": OLD_SET, "out": tmp_path, "greenpost": {"backend": "keyer"}})
    assert not want_a_device(recipe)
    plan = prepare(recipe).plan
    assert (plan.settings["greenpost"]["backend"], plan.weights) == ("keyer", {})
    assert list(stages(plan, CPU)) == ["greenpost"]


# ---- files that are not what they are called


def checked(weights: object, backend: str = "bgmv2") -> Path | None:
    own = {"backend": backend} | ({} if weights is None else {"weights": str(weights)})
    greenpost = RefineRecipe.model_validate({"data": "a", "out": "b", "greenpost": own}).greenpost
    return greenpost.asked_weights()


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("kernel", [3, 1, None])
def test_backbone_and_kernel_are_read_from_the_shapes(backbone: str, kernel: Kernel | None, tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in BackgroundMatting(backbone, kernel).state_dict().items()}
    path = tmp_path / "any.safetensors"
    save_file({name: torch.zeros(shape, dtype=torch.uint8) for name, shape in shapes.items()}, path)
    assert recognised(path) == (backbone, kernel)
    assert checked(path) == path


def test_copies_without_counters_or_in_half_precision_are_the_same_network(half: Path, tmp_path: Path) -> None:
    state = {name: value for name, value in load_file(half).items() if "num_batches" not in name}
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "copy.safetensors")
    copy = load(tmp_path / "copy.safetensors", "cpu")
    assert {value.dtype for value in copy.parameters()} == {torch.float32}
    picture = torch.rand(2, 1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(copy(*picture), load(half, "cpu")(*picture))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda w: w.pop("aspp.project.0.weight"),
            r"has aspp.project.0.weight \(none\) where .* mobilenetv2 has \(256,",
        ),
        (lambda w: w.update({"more": torch.zeros(2)}), r"has more \(2,\) where .* has \(none\)"),
        (
            lambda w: w.update({"refiner.conv1.weight": torch.zeros(24, 42, 5, 5)}),
            r"refiner.conv1.weight \(24, 42, 5, 5\)",
        ),
        (lambda w: w.pop("backbone.features.0.0.weight"), "has no weights of a backbone of BackgroundMattingV2"),
    ],
)
def test_other_networks_are_refused_by_what_differs(
    weights: Path, tmp_path: Path, spoil: Callable[[dict[str, torch.Tensor]], object], said: str
) -> None:
    state = load_file(weights)
    spoil(state)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match=said) as refused:
        checked(tmp_path / "other.safetensors")
    assert str(tmp_path / "other.safetensors") in str(refused.value)


def test_places_without_safe_weights_are_refused(weights: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:5000])
    torch.save({}, tmp_path / "model.pth")
    (tmp_path / "empty").mkdir()
    for place, said in (
        (cut, "is cut short or not a safetensors file"),
        (tmp_path / "absent.safetensors", "there is no such file"),
        (tmp_path / "model.pth", r"is pickled and could run code: .*factory convert .*model.pth"),
        (tmp_path / "empty", r"holds 0 files \*\.safetensors"),
        (None, "needs greenpost.weights"),
    ):
        with pytest.raises(UsageError, match=said):
            checked(place)


def test_weights_and_backend_belong_together(weights: Path) -> None:
    with pytest.raises(UsageError, match=r"say whose they are with greenpost\.backend, for physics needs none"):
        checked(weights, "physics")
    with pytest.raises(UsageError, match=r"bgmv3: there is none of that name \(did you mean bgmv2\?\)"):
        checked(weights, "bgmv3")
    ended = factory_here("refine", OLD_SET, *HERE, "--backend", "bgmv2", "--out", "nowhere")
    assert (ended.code, "needs greenpost.weights" in ended.sentence, Path("nowhere").exists()) == (2, True, False)


# ---- networks of other packages

PACKAGE = """
import numpy

from factory.refine.known_background import Told

class Flat:
    def check(self, weights): assert weights.is_file()
    def load(self, weights, device):
        return lambda picture, plate, coarse: Told(coarse, numpy.full_like(picture, 0.25))

FLAT = Flat()
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A package that brings a backend, in a version; as pip would lay it down."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "flat_keyer", raising=False)

    def install(version: str) -> None:
        info = tmp_path / "site" / "flat_keyer.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: flat-keyer\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("[factory.keyers]\nflat = flat_keyer:FLAT\nbgmv2 = flat_keyer:FLAT\n")
        (tmp_path / "site" / "flat_keyer.py").write_text(PACKAGE)

    return install


def planned_with(backend: str, weights: Path, out: Path) -> Plan:
    recipe = {"data": OLD_SET, "out": out, "greenpost": {"backend": backend, "weights": weights}}
    return prepare(RefineRecipe.model_validate(recipe)).plan


def test_an_installed_package_brings_a_backend(installed: Callable[[str], None], weights: Path, tmp_path: Path) -> None:
    installed("1.0")
    plan = planned_with("flat", weights, tmp_path / "set")
    assert plan.weights == {"greenpost": sha256_of(weights), "greenpost_code": "flat-keyer 1.0"}
    network, greenpost = stages(plan, CPU).values()
    made = run([network, greenpost], disc(96, 30))
    assert made.alpha is not None
    assert made.foreground is not None
    assert made.origin.foreground == "estimated"
    soft = (made.alpha > 50) & (made.alpha < 255)
    assert soft.any()
    assert (made.foreground[soft] == 64).all(), "its own colours"
    assert (made.foreground[48, 48] == 128).all(), "where α is 1 the picture is the foreground"


def run(line: Sequence[object], sample: Sample) -> Sample:
    network, greenpost = line
    assert isinstance(network, BatchStage)
    assert callable(greenpost)
    (told,) = network.begin()([sample])
    made = greenpost(told)
    assert isinstance(made, Sample)
    return made


def test_another_version_of_it_is_another_plan(installed: Callable[[str], None], weights: Path, tmp_path: Path) -> None:
    installed("1.0")
    plan = planned_with("flat", weights, tmp_path / "set")
    installed("1.1")
    assert planned_with("flat", weights, tmp_path / "set").fingerprint != plan.fingerprint
    with pytest.raises(InputChanged, match=r"planned with flat-keyer 1\.0, here is flat-keyer 1\.1"):
        stages(plan, CPU)


def test_it_does_not_take_the_place_of_ours(installed: Callable[[str], None], weights: Path, tmp_path: Path) -> None:
    installed("1.0")
    assert planned_with("bgmv2", weights, tmp_path / "set").weights == {"greenpost": sha256_of(weights)}


def test_one_that_cannot_be_loaded_is_named(installed: Callable[[str], None], weights: Path, tmp_path: Path) -> None:
    installed("1.0")
    (tmp_path / "site" / "flat_keyer.py").write_text("import a_module_that_is_not_there")
    with pytest.raises(UsageError, match=r"backend flat cannot be loaded .*install flat-keyer 1\.0 anew"):
        checked(weights, "flat")
