"""`factory convert` makes safetensors of pickled weights, and runs nothing that lies in them."""

import pickle
from pathlib import Path

import pytest
import torch
from program import factory_here
from safetensors import safe_open
from safetensors.torch import load_file

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.count": torch.tensor(3), "b": torch.ones(2).half()}


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def refused(*arguments: str | Path) -> str:
    ended = factory_here("convert", *arguments)
    assert ended.code == 2, ended.out
    return ended.sentence


@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        {"state_dict": TENSORS, "epoch": 3},
        {f"module.{name}": value for name, value in TENSORS.items()},
    ],
)
def test_tensors_stay_as_they_are(tmp_path: Path, content: object) -> None:
    source = saved(tmp_path / "net.pth", content)
    ended = factory_here("convert", source)
    assert ended.code == 0, ended.err
    assert str(tmp_path / "net.safetensors") in ended.out
    found = load_file(tmp_path / "net.safetensors")
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], TENSORS[name]) and found[name].dtype == TENSORS[name].dtype for name in found)
    with safe_open(tmp_path / "net.safetensors", framework="np") as file:
        assert file.metadata() == {"format": "pt"}


def test_tensors_that_share_memory_or_lie_transposed_are_written_whole(tmp_path: Path) -> None:
    one = torch.arange(6.0).reshape(2, 3)
    saved(tmp_path / "net.pt", {"one": one, "same": one, "turned": one.T, "part": one[1:]})
    assert factory_here("convert", tmp_path / "net.pt", tmp_path / "out.safetensors").code == 0
    found = load_file(tmp_path / "out.safetensors")
    assert torch.equal(found["same"], one)
    assert torch.equal(found["turned"], one.T)
    assert torch.equal(found["part"], one[1:])


class Harm:
    """Writes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> object:
        return (Path.touch, (self.place,))


@pytest.mark.parametrize("protocol", [2, 5])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, protocol: int) -> None:
    harm = {"a": torch.ones(1), "b": Harm(tmp_path / "harm")}
    torch.save(harm, tmp_path / "torch.pth", pickle_protocol=protocol)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(harm, protocol))
    for name in ("torch.pth", "plain.pth"):
        assert "is not a file of tensors alone" in refused(tmp_path / name)
    assert not (tmp_path / "harm").exists()
    assert not list(tmp_path.glob("*.safetensors"))


def test_programs_models_and_other_files_are_refused(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "script.pth")
    saved(tmp_path / "model.pth", torch.nn.Linear(2, 2))
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "nothing.pth").write_bytes(b"")
    for name in ("script.pth", "model.pth", "text.pth", "nothing.pth"):
        assert f"{tmp_path / name} is not a file of tensors alone" in refused(tmp_path / name), name
    assert "alone, it holds torch.nn.modules.linear.Linear: give" in refused(tmp_path / "model.pth")
    assert "alone: give" in refused(tmp_path / "text.pth")  # and nothing of what torch advises
    assert "holds no weights by name" in refused(saved(tmp_path / "list.pth", [torch.ones(1)]))
    assert "holds no weights by name" in refused(saved(tmp_path / "empty.pth", {}))
    assert "holds 1 entry beside plain tensors ('epoch')" in refused(
        saved(tmp_path / "more.pth", {**TENSORS, "epoch": 3})
    )
    assert "there is no file" in refused(tmp_path / "absent.pth")


def test_tensors_that_are_not_as_large_as_they_say_are_refused(tmp_path: Path) -> None:
    odd = {
        "stretched": torch.zeros(1).expand(10**12),
        "sparse": torch.eye(3).to_sparse(),
        "meta": torch.zeros(10**12, device="meta"),
    }
    for name, value in odd.items():
        said = refused(saved(tmp_path / f"{name}.pth", {"a": torch.ones(1), "b": value}))
        assert "holds 1 entry beside plain tensors ('b')" in said, name
    assert "of a kind that safetensors cannot hold" in refused(
        saved(tmp_path / "c.pth", {"a": torch.ones(1).cdouble()})
    )


def test_nothing_is_written_over(tmp_path: Path) -> None:
    source = saved(tmp_path / "net.pth", TENSORS)
    (tmp_path / "net.safetensors").write_bytes(b"mine")
    assert "exists: name another file" in refused(source)
    assert (tmp_path / "net.safetensors").read_bytes() == b"mine"
    assert "ends in .safetensors" in refused(source, tmp_path / "net.pth")
    assert "cannot be written" in refused(source, tmp_path / "net.pth" / "inside.safetensors")
