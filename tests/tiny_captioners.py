"""Captioning models of the real architectures, so small that they learn two captions in a moment on a CPU.

Their processors, tokenizers and files are what transformers writes for the large ones.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    AddedToken,
    BertTokenizer,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessorPil,
    BlipProcessor,
    CLIPImageProcessorPil,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
    GPT2Config,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessorPil,
)

from factory.sample import Picture

SIDE = 16
WORDS = ("a", "red", "blue", "ball", "photo", "of", "write", "short", "description", "for", "the", "image", ".", ":")
COLOURS: Mapping[str, tuple[int, int, int]] = {"a red ball": (220, 30, 30), "a blue ball": (30, 30, 220)}
QUERIES = 2
STEPS = 300
LEARNT = 0.03  # loss
RATE = 4e-3
VISION = {
    "image_size": SIDE,
    "patch_size": 8,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
}
QFORMER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
CHAT = (
    "{% for m in messages %}USER: {% for c in m.content %}{% if c.type == 'image' %}<image> {% else %}{{ c.text }} "
    "{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def ball(caption: str, ground: tuple[int, int, int] = (128, 128, 128)) -> Picture:
    """A square of the caption's colour on one ground."""
    picture = np.full((SIDE, SIDE, 3), ground, np.uint8)
    picture[4:12, 4:12] = COLOURS[caption]
    return picture


def _bert() -> BertTokenizer:
    return BertTokenizer(vocab={w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])})


def _words(template: str) -> PreTrainedTokenizerFast:
    """A tokenizer whose `template` puts <s> in front or </s> behind, like LLaMA's and T5's. Its last id is <image>."""
    vocabulary = {word: index for index, word in enumerate(["<pad>", "</s>", "<s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single=template, special_tokens=[("</s>", 1), ("<s>", 2)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>"
    )
    fast.add_tokens([AddedToken("<image>", normalized=False, special=True)], special_tokens=True)
    return fast


def _pictures() -> BlipImageProcessorPil:
    return BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})


def _clip_pictures() -> CLIPImageProcessorPil:
    square = {"height": SIDE, "width": SIDE}
    return CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=square)


def blip() -> tuple[Any, Any]:
    """BLIP: a BERT decoder with a start token of its own beyond the tokenizer's words."""
    tokenizer = _bert()
    text: dict[str, Any] = TEXT | {"vocab_size": len(tokenizer) + 2, "bos_token_id": len(tokenizer), "eos_token_id": 3}
    text |= {"sep_token_id": 3, "pad_token_id": 0, "encoder_hidden_size": 16, "projection_dim": 16}
    text |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = BlipConfig(text_config=text, vision_config=VISION | {"projection_dim": 16}, projection_dim=16)
    return BlipForConditionalGeneration(config), BlipProcessor(_pictures(), tokenizer)


def git() -> tuple[Any, Any]:
    """GIT: one decoder over picture and words."""
    tokenizer = _bert()
    ends: dict[str, Any] = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "vocab_size": len(tokenizer)}
    still: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = GitConfig(vision_config=VISION, **TEXT, **ends, **still)
    return GitForCausalLM(config), GitProcessor(_clip_pictures(), tokenizer)


def _t5(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
    ends = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 0}
    return {"model_type": "t5", "vocab_size": len(tokenizer), **sizes, **ends}


def _llama(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    return {"model_type": "llama", "vocab_size": len(tokenizer), **TEXT, **ends}


def _instructblip(tokenizer: PreTrainedTokenizerFast, text: dict[str, Any]) -> tuple[Any, Any]:
    qtokenizer = _bert()
    config = InstructBlipConfig(
        vision_config=VISION,
        qformer_config=QFORMER | {"vocab_size": len(qtokenizer)},
        text_config=text,
        num_query_tokens=QUERIES,
        image_token_index=len(tokenizer) - 1,
    )
    processor = InstructBlipProcessor(_pictures(), tokenizer, qtokenizer, num_query_tokens=QUERIES)
    return InstructBlipForConditionalGeneration(config), processor


def instructblip_t5() -> tuple[Any, Any]:
    """InstructBLIP on T5, as in instructblip-flan-t5-xl."""
    tokenizer = _words("$A </s>")
    return _instructblip(tokenizer, _t5(tokenizer))


def instructblip_llama() -> tuple[Any, Any]:
    """InstructBLIP on LLaMA, as in instructblip-vicuna-7b."""
    tokenizer = _words("<s> $A")
    return _instructblip(tokenizer, _llama(tokenizer))


def blip2() -> tuple[Any, Any]:
    """BLIP-2 on a decoder-only language model."""
    tokenizer = _words("<s> $A")
    config = Blip2Config(
        vision_config=VISION,
        qformer_config=QFORMER,
        text_config=_llama(tokenizer),
        num_query_tokens=QUERIES,
        image_token_index=len(tokenizer) - 1,
    )
    return Blip2ForConditionalGeneration(config), Blip2Processor(_pictures(), tokenizer, num_query_tokens=QUERIES)


def llava() -> tuple[Any, Any]:
    """LLaVA: asked in a conversation."""
    tokenizer = _words("<s> $A")
    config = LlavaConfig(
        vision_config={"model_type": "clip_vision_model", **VISION, "projection_dim": 16},
        text_config=_llama(tokenizer),
        image_token_index=len(tokenizer) - 1,
        vision_feature_layer=-1,
    )
    pictures = _clip_pictures()
    processor = LlavaProcessor(
        pictures, tokenizer, patch_size=8, vision_feature_select_strategy="default", chat_template=CHAT,
        num_additional_image_tokens=1,
    )  # fmt: skip
    return LlavaForConditionalGeneration(config), processor


def encoder_decoder() -> tuple[Any, Any]:
    """A ViT and a GPT-2 put together: a model without a processor of its own. The second is its two parts."""
    tokenizer = _words("<s> $A")
    gpt = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=32, bos_token_id=2, eos_token_id=1,
        pad_token_id=0, add_cross_attention=True, is_decoder=True,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(ViTConfig(**VISION), gpt)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 0, 1
    model = VisionEncoderDecoderModel(config)
    model.generation_config.decoder_start_token_id = 2
    model.generation_config.eos_token_id = 1
    model.generation_config.pad_token_id = 0
    return model, (ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}), tokenizer)


def make(folder: Path, build: Callable[[], tuple[Any, Any]], prompt: str = "") -> Path:
    """Build a model, teach it to tell a red ball from a blue one when asked `prompt`, and save it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, processor = build()
        _teach(model, processor, prompt)
    model.save_pretrained(folder)
    for part in processor if isinstance(processor, tuple) else (processor,):
        part.save_pretrained(folder)
    return folder


def _teach(model: Any, processor: Any, prompt: str) -> None:
    batch = _lesson(model, processor, prompt)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    model.train()
    for _ in range(STEPS):
        loss = model(**batch).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss < LEARNT:
            break
    model.eval()


def _lesson(model: Any, processor: Any, prompt: str) -> dict[str, torch.Tensor]:
    """Both pictures with their captions as one batch with labels."""
    captions, pictures = list(COLOURS), [ball(caption) for caption in COLOURS]
    kind = model.config.model_type
    if isinstance(processor, tuple):
        pixels = processor[0](pictures, return_tensors="pt")
        labels = _closed(processor[1], captions)
        return {**pixels, "labels": labels}
    if kind == "instructblip" and model.config.text_config.model_type == "t5":
        inputs = processor(images=pictures, text=[prompt] * 2, return_tensors="pt")
        return {**inputs, "labels": processor.tokenizer(captions, return_tensors="pt")["input_ids"]}
    if kind in ("blip", "git"):
        inputs = processor(images=pictures, text=[f"{prompt} {c}".strip() for c in captions], return_tensors="pt")
        if kind == "blip":
            inputs["input_ids"][:, 0] = model.config.text_config.bos_token_id
        return {**inputs, "labels": inputs["input_ids"]}
    if kind == "llava":
        texts = [f"USER: <image> {prompt} ASSISTANT:"] * 2
        inputs = dict(processor(images=pictures, text=texts, return_tensors="pt"))
    elif prompt:
        inputs = dict(processor(images=pictures, text=[prompt] * 2, return_tensors="pt"))
    else:
        inputs = dict(processor(images=pictures, text=["a"] * 2, return_tensors="pt"))
        inputs = {n: v[:, :-1] if n in ("input_ids", "attention_mask") else v for n, v in inputs.items()}
    answers = _closed(processor.tokenizer, captions)[:, 1:]
    asked = inputs["input_ids"]
    inputs["input_ids"] = torch.cat([asked, answers], dim=1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    labels = torch.cat([torch.full_like(asked, -100), answers], dim=1)
    return {**inputs, "labels": labels}


def _closed(tokenizer: PreTrainedTokenizerFast, captions: list[str]) -> torch.Tensor:
    """<s> caption </s>"""
    ids = tokenizer(captions, return_tensors="pt")["input_ids"]
    return torch.cat([ids, torch.full((len(captions), 1), tokenizer.eos_token_id)], dim=1)
