"""Pictures → captions by an image-to-text model of the transformers library: InstructBLIP, BLIP, GIT, LLaVA …"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoProcessor, AutoTokenizer

from factory.errors import UsageError
from factory.sample import Picture
from factory.sources.captioning.model import CaptionSettings, Precision, check, fingerprint

DESCRIBE = "Write a short description for the image."  # one of the templates InstructBLIP was trained on
INSTRUCTED = ("instructblip",)  # asked like this although they have no chat template


class Captioner:
    """Holds one model on one device. Deterministic: beam search, no sampling, batches of one size."""

    def __init__(self, folder: Path, settings: CaptionSettings, device: str = "cpu") -> None:
        """Raises UsageError where the folder is no whole image-to-text model of safetensors, or needs a package."""
        check(folder)
        self.settings = settings
        self.fingerprint = fingerprint(folder)
        self.device = torch.device(device)
        self._dtype = _dtype(settings.precision, self.device)
        self._processor = _processor(folder)
        self._model = _model(folder, self._dtype).to(self.device).eval()
        _check_image_tokens(folder, self._processor, self._model)

    def __call__(self, pictures: Sequence[Picture]) -> list[str]:
        """One caption per picture, in their order; "" where the model says nothing.

        pictures: uint8 (H, W, 3) RGB, of any sizes.
        """
        captions: list[str] = []
        size = self.settings.batch
        for start in range(0, len(pictures), size):
            batch = pictures[start : start + size]
            full = [*batch, *[batch[-1]] * (size - len(batch))]
            captions += self._batch([Image.fromarray(np.ascontiguousarray(picture)) for picture in full])[: len(batch)]
        return captions

    def _batch(self, images: Sequence[Image.Image]) -> list[str]:
        inputs = dict(self._inputs(images).to(self.device, self._dtype))
        with torch.inference_mode():
            written = self._model.generate(
                **inputs,
                do_sample=False,
                num_beams=self.settings.beams,
                max_new_tokens=self.settings.max_new_tokens,
                temperature=None,  # of a sampling that a checkpoint may ask for
                top_p=None,
                top_k=None,
            )
        answers = without_prompt(written, inputs.get("input_ids"))
        texts = self._processor.tokenizer.batch_decode(
            answers, skip_special_tokens=True, clean_up_tokenization_spaces=True
        )
        return [text.strip() for text in texts]

    def _inputs(self, images: Sequence[Image.Image]) -> Any:
        """A batch as the model's own processor wants it: with a conversation's text, a prompt, or pictures alone."""
        kind, prompt = self._model.config.model_type, self.settings.prompt
        if getattr(self._processor, "chat_template", None):
            question = [{"type": "image"}, {"type": "text", "text": prompt or DESCRIBE}]
            text = self._processor.apply_chat_template(
                [{"role": "user", "content": question}], add_generation_prompt=True
            )
            pictures = [[image] for image in images]  # as many as each text speaks of
            return self._processor(images=pictures, text=[text] * len(images), padding=True, return_tensors="pt")
        if kind in INSTRUCTED:
            prompt = prompt or DESCRIBE
        if not prompt:
            return self._processor(images=list(images), return_tensors="pt")
        inputs = self._processor(images=list(images), text=[prompt] * len(images), return_tensors="pt")
        if kind == "git":  # writes on from the prompt, but its BERT tokenizer has closed it with [SEP]
            inputs.pop("token_type_ids", None)
            inputs["input_ids"] = inputs["input_ids"][:, :-1]
            inputs["attention_mask"] = inputs["attention_mask"][:, :-1]
        return inputs


def without_prompt(written: torch.Tensor, prompt: torch.Tensor | None) -> torch.Tensor:
    """Cut the prompt that decoder-only models repeat in front of their answer; others begin with the answer.

    written: (B, T) token ids.  prompt: (B, L) ids, or None.
    The first column says nothing, for models put a start token of their own there; the last may be an end token that
    BLIP takes off.
    """
    if prompt is None:
        return written
    length = min(written.shape[1], prompt.shape[1])
    differs = (written[:, :length] != prompt[:, :length]).any(dim=0)
    differs[:1] = False
    shared = int(differs.int().argmax()) if bool(differs.any()) else length
    return written[:, shared:] if shared >= prompt.shape[1] - 1 else written


def _dtype(precision: Precision, device: torch.device) -> torch.dtype:
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device.type != "cuda":
        return torch.float32
    # bfloat16 first: the T5 of InstructBLIP overflows in float16
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


class TwoPart:
    """The processor that a vision encoder and a text decoder put together lack. They take no prompt."""

    chat_template = None

    def __init__(self, folder: Path, image_processor: Any, tokenizer: Any) -> None:
        self._folder = folder
        self._image_processor = image_processor
        self.tokenizer = tokenizer

    def __call__(self, images: Sequence[Image.Image], text: Sequence[str] = (), return_tensors: str = "pt") -> Any:
        """Pictures as the encoder wants them."""
        if text:
            raise UsageError(f"captions: {self._folder} takes no prompt: leave `prompt` empty")
        return self._image_processor(images, return_tensors=return_tensors)


def _processor(folder: Path) -> Any:
    """The model's processor, with PIL's resampling: captions must not depend on whether torchvision is installed."""
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = AutoProcessor.from_pretrained(folder, **local)
        images = AutoImageProcessor.from_pretrained(folder, backend="pil", **local)
        if not hasattr(processor, "image_processor"):
            return TwoPart(folder, images, AutoTokenizer.from_pretrained(folder, **local))
    except ImportError as error:
        raise UsageError(
            f"{folder}: this model prepares its pictures with a package that is not installed ({_said(error)}): "
            "install it (mostly `pip install torchvision`), or take InstructBLIP, BLIP or GIT, which need none"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder}: its processor or tokenizer cannot be loaded ({_said(error)}): copy the model again, whole"
        ) from error
    processor.image_processor = images  # asked for "pil" itself, a processor with a part for videos would give up
    processor.tokenizer.padding_side = "left"  # an answer follows its prompt without a gap
    return processor


def _model(folder: Path, dtype: torch.dtype) -> Any:
    """The model in a folder; a weight that is not in its files would be random, so it is refused."""
    transformers.utils.logging.disable_progress_bar()  # a bar of its own would break our one live line
    try:
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        raise UsageError(
            f"{folder} cannot be loaded as an image-to-text model ({_said(error)}): give one, whole"
        ) from error
    absent = sorted(str(name) for name in report["missing_keys"])
    if absent:
        raise UsageError(f"{folder} lacks {len(absent)} of its weights, among them {absent[0]}: copy it again, whole")
    return model


def _check_image_tokens(folder: Path, processor: Any, model: Any) -> None:
    """BLIP-2 and InstructBLIP of before November 2024 do not say where in a prompt the picture goes."""
    if hasattr(processor, "num_query_tokens") and (
        processor.num_query_tokens is None or model.config.image_token_index is None
    ):
        raise UsageError(
            f"{folder} is of an older form, without num_query_tokens and image_token_index in its configuration: "
            "download the model again, its makers have added them"
        )


def _said(error: Exception) -> str:
    """The first line of somebody else's message."""
    return str(error).strip().partition("\n")[0].rstrip(" .:")
