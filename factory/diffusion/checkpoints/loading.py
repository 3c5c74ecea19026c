"""A checkpoint as a pipeline of diffusers. Its configurations lie in a folder, so nothing is asked of any network."""

import inspect
import shutil
import tempfile
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.loaders.single_file_utils import SingleFileComponentError
from transformers import CLIPTokenizer

from factory.diffusion.plain.folder import check_index
from factory.diffusion.plain.pipeline import keep_quiet
from factory.errors import UsageError
from factory.models.clip_words import word_files
from factory.models.part import UNREADABLE
from factory.models.weights import SAFE


def load_checkpoint(file: Path, config: Path, vocabulary: Path, dtype: torch.dtype) -> Any:
    """Read it into memory.

    config: a folder with the configurations of the pipeline and its parts.  vocabulary: one with CLIP's words.
    Raises UsageError, also for weights that the file lacks.
    """
    if file.suffix != SAFE:
        raise UsageError(f"{file} is not called *{SAFE}, and would be read as a pickle: start anew with such a name.")
    keep_quiet()  # importing a pipeline warns already
    index = check_index(config)
    kind = getattr(diffusers, index.pipeline)
    more = {"add_watermarker": False} if "add_watermarker" in inspect.signature(kind).parameters else {}
    try:
        tokenizers = {
            part: _tokenizer(config / part, vocabulary) for part in index.parts if part.startswith("tokenizer")
        }
        pipeline = kind.from_single_file(
            str(file), config=str(config), local_files_only=True, dtype=dtype, **tokenizers, **more
        )
    except NotImplementedError as error:  # of networks whose weights are not all there, as they are put on a device
        raise UsageError(f"{file} lacks weights of {index.pipeline}'s U-Net or autoencoder: take another.") from error
    except (*UNREADABLE, SingleFileComponentError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(f"{file} cannot be loaded as {index.pipeline}: {reason}") from error
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            missing = [weight for weight, value in part.state_dict().items() if value.is_meta]
            if missing:
                raise UsageError(
                    f"{file} lacks {len(missing)} weights of {name}, {missing[0]} among them: take another."
                )
    return pipeline


def _tokenizer(own: Path, vocabulary: Path) -> CLIPTokenizer:
    """With the settings of one folder, which say how to fill up, and the words of another."""
    with tempfile.TemporaryDirectory() as folder:
        for path in [*own.glob("*config.json"), *own.glob("*_map.json"), *word_files(vocabulary)]:
            shutil.copyfile(path, Path(folder) / path.name)
        return CLIPTokenizer.from_pretrained(folder)
