"""Tokenizers built as the official ones are, on texts of many scripts, and the tokens that transformers makes of these."""

import gzip
import io
import json
from collections import Counter

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from texts import ENGLISH, draw_texts

# inference/utils.py and the FFT configuration of the authors
FFT_TOKENS = ["<img>", "{image}", "{caption}", "{mask}", "{ref_image}", *(f"{{image{n}}}" for n in range(1, 10))]
START, END = "<|startoftext|>", "<|endoftext|>"


def t5_tokenizers(corpus):
    """
    One sentencepiece unigram model with T5's normalization (nmt_nfkc, as a precompiled character map) in the two forms in
    which T5's tokenizer.json is published: google's own, and the conversion of spiece.model that is beside FLUX's weights.
    """
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=stream, vocab_size=2000, hard_vocab_limit=False, model_type="unigram",
        normalization_rule_name="nmt_nfkc", character_coverage=0.98, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        num_threads=1, minloglevel=2,
    )  # fmt: skip
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(stream.getvalue())
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    extra = [f"<extra_id_{n}>" for n in range(99, -1, -1)]
    pieces += [(name, 0.0) for name in extra]
    precompiled = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)

    def build(normalizer, pre_tokenizer, strips):
        t5 = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
        t5.normalizer = normalizer
        t5.pre_tokenizer = pre_tokenizer
        t5.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
        t5.decoder = decoders.Metaspace()
        t5.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ["<pad>", "</s>", "<unk>"]])
        t5.add_special_tokens([AddedToken(name, special=True, normalized=False, lstrip=strips, rstrip=strips) for name in extra])
        return t5

    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    yield "google", build(precompiled, pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace]), False)
    strip, replace = normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")
    yield "converted", build(normalizers.Sequence([precompiled, strip, replace]), metaspace, True)


def clip_tokenizer(corpus):
    """As openai/clip-vit-large-patch14's: byte-level BPE of lower-cased words, whose ends are marked."""

    def with_normalization(tokenizer):
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
        split = pre_tokenizers.Split(words, behavior="removed", invert=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
        return tokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    splitting = with_normalization(Tokenizer(models.BPE()))
    merges = train_merges(splitting, corpus, 600)
    pieces = [*alphabet, *(letter + "</w>" for letter in alphabet), *dict.fromkeys(a + b for a, b in merges), START, END]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    clip = with_normalization(
        Tokenizer(models.BPE(vocabulary, merges, unk_token=END, continuing_subword_prefix="", end_of_word_suffix="</w>"))
    )
    clip.post_processor = processors.RobertaProcessing(
        (END, vocabulary[END]), (START, vocabulary[START]), trim_offsets=False, add_prefix_space=False
    )
    clip.decoder = decoders.ByteLevel()
    clip.add_special_tokens([AddedToken(START, special=True, normalized=True), AddedToken(END, special=True, normalized=False)])
    return clip


def train_merges(splitting, corpus, count):
    """The commonest pairs; of equally common ones the first in order, where the library's trainer takes any."""
    words = Counter()
    for text in corpus:
        normal = splitting.normalizer.normalize_str(text)
        words.update(word for word, _ in splitting.pre_tokenizer.pre_tokenize_str(normal))
    pieces = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges = []
    for _ in range(count):
        pairs = Counter()
        for word, parts in pieces.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += words[word]
        first, second = best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for parts in pieces.values():
            for i in range(len(parts) - 2, -1, -1):
                if i + 1 < len(parts) and parts[i] == first and parts[i + 1] == second:
                    parts[i : i + 2] = [first + second]
    return merges


def pack(value, file):
    """Of 1,000 strings and a character map of 240 kB; the time is left out, so that the same content is the same file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(json.dumps(value, ensure_ascii=False).encode(), 9, mtime=0))


def write(lines, seed):
    texts = draw_texts(seed, 1000)
    # Mostly English, as T5's own: so that many letters of other scripts are unknown to it.
    corpus = texts[::2] + [" ".join(ENGLISH[n : n + 12]) for n in range(len(ENGLISH))] * 8
    pack(texts, lines.folder / "tokens/texts.json.gz")
    t5 = [(f"t5-{form}", tokenizer) for form, tokenizer in t5_tokenizers(corpus)]
    cases = [
        (t5[0], 512, ["{image}"], {"eos_token": "</s>", "pad_token": "<pad>", "model_max_length": 512}),
        (t5[1], 512, FFT_TOKENS, {"eos_token": "</s>", "pad_token": {"content": "<pad>"}, "model_max_length": 1e30}),
        (("clip", clip_tokenizer(corpus)), 77, [], {"eos_token": END, "pad_token": END, "model_max_length": 77}),
    ]
    for (name, tokenizer), length, special, config in cases:
        pack(json.loads(tokenizer.to_str()), lines.folder / f"tokens/{name}.json.gz")
        pad = "<pad>" if name != "clip" else END
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=pad, eos_token=config["eos_token"])
        fast.add_tokens([AddedToken(token, special=True, normalized=False) for token in special], special_tokens=True)
        encoded = fast(texts, padding="max_length", max_length=length, truncation=True)
        rows = []
        for row, mask in zip(encoded["input_ids"], encoded["attention_mask"], strict=True):
            assert len(row) == length and set(row[sum(mask) :]) <= {fast.pad_token_id}
            rows.append(row[: sum(mask)])
        pack({"padding": fast.pad_token_id, "rows": rows}, lines.folder / f"tokens/{name}.ids.json.gz")
        lines.add(
            "tokenizer",
            f"Tokenizer {name}",
            f"{len(texts)} texts, {length} tokens, {fast.vocab_size} pieces, {len(special)} tokens of the authors",
            tokenizer=f"tokens/{name}.json.gz",
            config=config,
            length=length,
            special=special,
            texts="tokens/texts.json.gz",
            ids=f"tokens/{name}.ids.json.gz",
        )


def write_tiny(lines, words):
    """The tokenizers of the model in tiny/: a few pieces, so that its embeddings stay small. Returns both as transformers'."""
    letters = [chr(ord("a") + i) for i in range(26)]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [(c, -5.0) for c in letters] + [("▁" + word, -2.0) for word in words]
    t5 = Tokenizer(models.Unigram(pieces, unk_id=2))
    t5.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    t5.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    t5.decoder = decoders.Metaspace()
    t5.add_special_tokens(["<pad>", "</s>", "<unk>"])
    vocabulary = [*letters, *(c + "</w>" for c in letters), "re", "red</w>", "ci", "bl", "ue</w>"]
    # The end of the text last, as CLIPTextModel looks for the largest token of some old configurations.
    vocabulary += [f"<spare {n}>" for n in range(TINY_VOCABULARY - 2 - len(vocabulary))] + [START, END]
    vocabulary = {piece: i for i, piece in enumerate(vocabulary)}
    merges = [("r", "e"), ("re", "d</w>"), ("c", "i"), ("b", "l"), ("u", "e</w>")]
    clip = Tokenizer(models.BPE(vocabulary, merges, unk_token=END, end_of_word_suffix="</w>"))
    clip.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    clip.pre_tokenizer = pre_tokenizers.Whitespace()
    ids = [(token, vocabulary[token]) for token in (START, END)]
    clip.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ids)
    clip.add_special_tokens([START, END])
    made = []
    for folder, tokenizer, length, config in (
        ("clip", clip, 77, {"eos_token": END, "pad_token": END}),
        ("t5", t5, TINY_TEXT_TOKENS, {"eos_token": "</s>", "pad_token": {"content": "<pad>", "special": True}}),
    ):
        target = lines.folder / "tiny" / folder
        target.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(target / "tokenizer.json"))
        config = {**config, "model_max_length": length}
        (target / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
        pad = END if folder == "clip" else "<pad>"
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token=pad, eos_token=config["eos_token"], model_max_length=length
        )
        if folder == "t5":
            fast.add_tokens([AddedToken("{image}", special=True, normalized=False)], special_tokens=True)
        made.append(fast)
    return made


TINY_VOCABULARY = 96
TINY_TEXT_TOKENS = 12
