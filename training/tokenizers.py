"""Makes pocket's two tokenizers: byte-level BPE, lower-cased, so that no text is unknown."""

import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LENGTH = 40
PLACES = ["{image}", "{caption}", "{mask}", "{ref_image}", *(f"{{image{n}}}" for n in range(1, 10))]


def make(folder: Path, corpus: list[str], kind: str) -> None:
    """Writes tokenizer.json and tokenizer_config.json of `t5` or `clip` into `folder`."""
    special = ["<pad>", "</s>", "<unk>"] if kind == "t5" else ["<|startoftext|>", "<|endoftext|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=1024, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    if kind == "t5":
        tokenizer.add_special_tokens([AddedToken(place, special=True, normalized=False) for place in PLACES])
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))])
        config = {"model_max_length": LENGTH, "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    else:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|startoftext|> $A <|endoftext|>",
            special_tokens=[(s, tokenizer.token_to_id(s)) for s in special])
        config = {"model_max_length": LENGTH, "bos_token": special[0], "eos_token": special[1], "pad_token": special[1]}
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


class TextTokens:
    """Both tokenizers, padded to LENGTH. Instructions -> 2 x [B, LENGTH]"""

    def __init__(self, folder: Path):
        self.tokenizers = []
        for kind in ("t5", "clip"):
            config = json.loads((folder / kind / "tokenizer_config.json").read_text())
            tokenizer = Tokenizer.from_file(str(folder / kind / "tokenizer.json"))
            tokenizer.enable_truncation(LENGTH)
            pad = config["pad_token"]
            tokenizer.enable_padding(length=LENGTH, pad_id=tokenizer.token_to_id(pad), pad_token=pad)
            self.tokenizers.append(tokenizer)
        self.t5_size, self.clip_size = (t.get_vocab_size() for t in self.tokenizers)
        self.end_of_text = self.tokenizers[1].token_to_id("<|endoftext|>")

    def __call__(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        t5, clip = (torch.tensor([e.ids for e in t.encode_batch(texts)]) for t in self.tokenizers)
        return t5, clip
