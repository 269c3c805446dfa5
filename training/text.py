"""The two tokenizers: T5's knows whole words (others are <unk>), CLIP's byte pairs. Both lower-case; pocket only."""

import json
import random
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

from . import instructions

T5_LENGTH = 32
CLIP_LENGTH = 32
IMAGES = ["{image}"] + [f"{{image{i}}}" for i in range(1, 10)]


def make_tokenizers(folder: Path) -> None:
    """Writes t5/ and clip/ with tokenizer.json and tokenizer_config.json."""
    words = instructions.vocabulary()
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *words])}
    t5 = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    t5.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    t5.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    t5.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", vocabulary["</s>"])]
    )
    t5.add_special_tokens([AddedToken(token, normalized=False) for token in ["<pad>", "</s>", "<unk>", *IMAGES]])
    save(t5, folder / "t5", T5_LENGTH, {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"})

    clip = Tokenizer(models.BPE())
    clip.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    clip.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    clip.decoder = decoders.ByteLevel()
    start, end = "<|startoftext|>", "<|endoftext|>"
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=[start, end],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rng = random.Random(0)
    clip.train_from_iterator([" ".join(rng.sample(words, len(words))) for _ in range(20)], trainer)
    clip.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}",
        pair=f"{start} $A {end} $B {end}",
        special_tokens=[(token, clip.token_to_id(token)) for token in (start, end)],
    )
    names = {"bos_token": start, "eos_token": end, "pad_token": end, "unk_token": end}
    save(clip, folder / "clip", CLIP_LENGTH, names)


def save(tokenizer: Tokenizer, folder: Path, length: int, names: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": length, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


class TextRows:
    """Rows of one length; longer texts lose their end, but not the end-of-text token."""

    def __init__(self, folder: Path):
        config = json.loads((folder / "tokenizer_config.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.length = config["model_max_length"]
        self.end = self.tokenizer.token_to_id(config["eos_token"])
        self.padding = self.tokenizer.token_to_id(config["pad_token"])

    @property
    def vocabulary(self) -> int:
        return self.tokenizer.get_vocab_size()

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Ids [B, length] and the place of the first end-of-text token [B]."""
        rows, ends = [], []
        for text in texts:
            ids = self.tokenizer.encode(text).ids
            if len(ids) > self.length:
                ids = [*ids[: self.length - 1], self.end]
            ends.append(ids.index(self.end))
            rows.append(ids + [self.padding] * (self.length - len(ids)))
        return torch.tensor(rows), torch.tensor(ends)
