"""The model's words: a vocabulary of its own in CLIP's format, and what it has never seen."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from factory.diffusion.tokenizer import apply_merges, build_tokenizer, learn_merges, split_words
from factory.diffusion.vocabulary import Vocabulary, read_vocabulary, screen_prompt, unknown_words, write_vocabulary
from factory.errors import UsageError

CAPTIONS = ("a red feather", "an evergreen tree's leaf", "grey wolf, running", "a café cup", "greenish reed")
VOCABULARY = Vocabulary(words=("a", "red", "feather", "leaf"), classes=("feather", "leaf"), colours=("red",))


def test_green_is_one_token_at_index_1_and_evergreen_holds_none() -> None:
    tokenizer = build_tokenizer(CAPTIONS, 16)
    green = tokenizer.convert_tokens_to_ids("green</w>")
    assert tokenizer("green screen, a red feather").input_ids.index(green) == 1
    assert green not in tokenizer("evergreen").input_ids
    assert len(tokenizer("evergreen").input_ids) == 3  # start, evergreen</w>, end


@pytest.mark.parametrize("text", [*CAPTIONS, "green screen,", "blue screen,", "magenta screen,"])
def test_every_word_of_the_captions_and_the_template_is_one_token(text: str) -> None:
    tokenizer = build_tokenizer(CAPTIONS, 32)
    assert tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)[1:-1] == [
        word + "</w>" for word in split_words(text)
    ]


def test_the_vocabulary_depends_on_the_words_and_not_on_their_order() -> None:
    forward, backward = build_tokenizer(CAPTIONS, 16), build_tokenizer(reversed(CAPTIONS), 16)
    assert forward.get_vocab() == backward.get_vocab()
    assert forward("a strange zebra").input_ids == backward("a strange zebra").input_ids


def test_saved_it_is_an_ordinary_clip_tokenizer(tmp_path: Path) -> None:
    ours = build_tokenizer(CAPTIONS, 16)
    ours.save_pretrained(tmp_path)
    theirs = CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)
    text = "green screen, a blue wolf"
    assert theirs(text, padding="max_length").input_ids == ours(text, padding="max_length").input_ids
    assert len(theirs(text, padding="max_length").input_ids) == 16


def test_words_never_seen_still_encode_and_come_back() -> None:
    tokenizer = build_tokenizer(CAPTIONS, 32)
    ids = tokenizer("zebra 42 – ünknown").input_ids
    assert tokenizer.unk_token_id not in ids[1:-1]
    assert tokenizer.decode(ids, skip_special_tokens=True).split() == ["zebra", "4", "2", "–", "ünknown"]


@settings(deadline=None)
@given(st.lists(st.text("abc", min_size=1, max_size=8), max_size=30))
def test_a_word_learnt_stays_whole_whatever_is_learnt_after_it(words: list[str]) -> None:
    ranks = {merge: rank for rank, merge in enumerate(learn_merges(words))}
    assert [apply_merges(word, ranks) for word in words] == [[word + "</w>"] for word in words]


def test_an_unknown_word_is_named_with_the_nearest_known_ones() -> None:
    assert unknown_words("a red fether, a Feather, 3 xylophones", VOCABULARY) == [
        ("fether", ["feather"]),
        ("xylophones", []),
    ]
    assert unknown_words("a red leaf", VOCABULARY) == []


def test_the_vocabulary_comes_back_from_the_model_folder(tmp_path: Path) -> None:
    assert read_vocabulary(tmp_path) is None
    write_vocabulary(VOCABULARY, tmp_path)
    assert read_vocabulary(tmp_path) == VOCABULARY
    (tmp_path / "vocabulary.json").write_text('{"nouns": []}')
    with pytest.raises(UsageError, match="must hold words, classes, colours and palette"):
        read_vocabulary(tmp_path)


@pytest.mark.parametrize("prompt", ["a leaf", "green screen, a leaf", "  Green  Screen ,a leaf "])
def test_the_prefix_is_written_once_and_in_one_form(prompt: str) -> None:
    assert screen_prompt(prompt) == "green screen, a leaf"


def test_another_key_colour_has_its_own_word_and_a_green_object_keeps_its_colour() -> None:
    assert screen_prompt("a green leaf", "magenta") == "magenta screen, a green leaf"
    assert screen_prompt("green screening room") == "green screen, green screening room"
