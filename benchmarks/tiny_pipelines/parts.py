"""Text encoders and tokenizers of the kinds that pipelines read with, tiny and random."""

import tempfile
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
)

from factory.diffusion.tokenizer import build_tokenizer

CAPTIONS = ("a red feather", "a blue leaf", "a glass bubble")
WIDTH = 32


def clip_tokenizer(length: int = 77) -> CLIPTokenizer:
    """CLIP's, with the few words of the captions; any other text is spelled byte by byte."""
    return build_tokenizer(CAPTIONS, length)


def clip_text(width: int = WIDTH, *, projection: int = 0, length: int = 77, layers: int = 2) -> Any:
    """CLIP's text encoder; with a projection of so many numbers if asked."""
    config = CLIPTextConfig(
        vocab_size=len(clip_tokenizer(length)),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=length,
        projection_dim=projection or width,
        bos_token_id=clip_tokenizer(length).bos_token_id,
        eos_token_id=clip_tokenizer(length).eos_token_id,
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def byte_tokenizer(kind: Any = PreTrainedTokenizerFast, length: int = 512, **special: str) -> Any:
    """A fast tokenizer of any class that spells texts byte by byte.  special: names of tokens, as pad_token="<pad>"."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*special.values(), *alphabet]
    spelled = Tokenizer(models.BPE({token: i for i, token in enumerate(dict.fromkeys(tokens))}, []))
    spelled.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    spelled.decoder = decoders.ByteLevel()
    return kind(tokenizer_object=spelled, model_max_length=length, **special)


def t5_tokenizer(length: int = 512) -> Any:
    """T5's role, spelled byte by byte."""
    return byte_tokenizer(length=length, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def t5_text(width: int = WIDTH) -> T5EncoderModel:
    """T5's encoder."""
    config = T5Config(vocab_size=300, d_model=width, d_kv=8, d_ff=2 * width, num_layers=2, num_heads=4, pad_token_id=0)
    return T5EncoderModel(config).eval()


def saved_and_read(tokenizer: Any, kind: Any) -> Any:
    """The tokenizer as another class reads its files."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        return kind.from_pretrained(Path(folder))
