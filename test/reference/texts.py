"""Texts of many scripts, with everything on which tokenizers are known to disagree."""

import random
import unicodedata

from tokenizers import normalizers

SPECIAL = [
    "<img>", "{image}", "{caption}", "{mask}", "{ref_image}", *(f"{{image{n}}}" for n in range(1, 11)),
    "<pad>", "</s>", "<unk>", "<extra_id_0>", "<extra_id_99>", "<|startoftext|>", "<|endoftext|>", "｛image｝", "{IMAGE}", "{image",
]  # fmt: skip

ENGLISH = """
put the red circle on the picture; maintain the facial features, a girl is wearing a neat police uniform. by referencing the mask,
restore a partial image from the doodle that aligns with the textual explanation: "1 white old owl". display the logo in a
minimalist style, printed in white on a matte black ceramic coffee mug! the item isn't on the ground, it's what they've said we'd
don't you're I'm he'll WE'RE IT'S 3.14 1,000,000 $5.99 50% #hashtag @name https://example.org/a?b=c&d=e snake_case camelCase
""".split()

# Inclusive ranges of code points; what is not assigned is left out.
SCRIPTS = {
    "latin": [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x17F)],
    "latin extended": [(0x180, 0x24F), (0x1E00, 0x1EFF), (0x250, 0x2AF)],
    "greek": [(0x370, 0x3FF), (0x1F00, 0x1FFF)],
    "cyrillic": [(0x400, 0x52F)],
    "armenian": [(0x531, 0x58F)],
    "georgian": [(0x10A0, 0x10FF), (0x1C90, 0x1CBF)],
    "hebrew": [(0x591, 0x5F4), (0xFB1D, 0xFB4F)],
    "arabic": [(0x600, 0x6FF), (0xFB50, 0xFBB1), (0xFE70, 0xFEFC)],
    "devanagari": [(0x900, 0x97F)],
    "bengali": [(0x980, 0x9FE)],
    "tamil": [(0xB80, 0xBFA)],
    "telugu": [(0xC00, 0xC7F)],
    "thai": [(0xE01, 0xE5B)],
    "lao": [(0xE81, 0xEDF)],
    "tibetan": [(0xF00, 0xFDA)],
    "myanmar": [(0x1000, 0x109F)],
    "ethiopic": [(0x1200, 0x139F)],
    "khmer": [(0x1780, 0x17F9)],
    "hangul": [(0xAC00, 0xD7A3)],
    "jamo": [(0x1100, 0x11FF), (0x3131, 0x318E), (0xFFA1, 0xFFDC)],
    "kana": [(0x3041, 0x30FF)],
    "half-width": [(0xFF61, 0xFF9F)],
    "full-width": [(0xFF01, 0xFF5E), (0xFFE0, 0xFFE6)],
    "han": [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xF900, 0xFAD9), (0x20000, 0x2A6DF)],
    "mathematical": [(0x1D400, 0x1D7FF), (0x2070, 0x209C), (0x2100, 0x218B)],
    "enclosed": [(0x2460, 0x24FF), (0x3200, 0x33FF), (0x1F100, 0x1F1AD)],
    "symbols": [(0x2190, 0x23FF), (0x2500, 0x27BF), (0x20A0, 0x20C0)],
    "punctuation": [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E), (0xA1, 0xBF), (0x2010, 0x205E), (0x3001, 0x303F)],
    "combining": [(0x300, 0x36F), (0x20D0, 0x20F0)],
    "emoji": [(0x1F300, 0x1F64F), (0x1F680, 0x1F6FC), (0x1F900, 0x1F9FF)],
    "digits": [(0x30, 0x39), (0x660, 0x669), (0x966, 0x96F), (0xFF10, 0xFF19)],
    "other planes": [(0x10330, 0x1034A), (0x10400, 0x1044F), (0x12000, 0x12399), (0x1F600, 0x1F64F)],
}

SPACES = list(
    " \t\n\r\v\f\x1c\x1f\x85\xa0\u1680\u180e\u2000\u2003\u2009\u200a\u200b\u200c\u200d\u200e\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
CONTROLS = list("\x01\x08\x0e\x1b\x7f\x80\x8f\x9f\xad\u2581\ufffd\ufff9\ue000\U000e0041")

EMOJI = [
    "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "1️⃣", "#️⃣", "❤️", "☺︎", "👩🏿‍🚀", "🤷🏻‍♀️", "🫱🏻‍🫲🏾",
]  # fmt: skip

# Where lower case, canonical order, ligatures or clusters of several letters decide.
HARD = [
    "ΟΔΥΣΣΕΥΣ ΣΑΣ ΣΣ Σ", "ὈΔΥΣΣΕΎΣ.", "İSTANBUL Iıi̇", "Straße STRASSE ẞ", "ǅ ǆ Ǆ", "ﬁre ﬂow oﬃce ﬅ", "Å Å Å", "é é ẹ́ ẹ́",
    "q̣̇ q̣̇", "각 각 ᄀᆨ", "ｶﾞｷﾞ ﾊﾟ ｳﾞ", "が か\u3099", "①②③ ㍿ ㌔ ℡ № ™", "½ ⅓ x² x₂", "ﷺ ﷲ", "क्षत्रिय", "ക്‍ ന്‍", "நி", "กำ ำ",
    "…‥ ‼ ⁇", "〜～~ ∼", "‘’“”«»", "a\u0300\u0301\u0302\u0303", "\r\n\r\n", "a\r\nb", "  \u3000 ", "ﬀ\u0301", "①\u0301", "½\u20dd",
    "don't DON'T it'S 'twas ''s '''", "a.b,c;d", "____", "\\n \\t", "{image} {image}{image1}", "x{mask}y", "</s></s>", "<unk>",
    "<|endoftext|>!<|startoftext|>", "<| endoftext |>", "<|ENDOFTEXT|>", "__proto__ constructor toString", "▁▁a▁b", "\u2581", "''",
    "ſ K Ω", "ᾼ ᾳ ΑΙ", "Ǳ", "Ა ა", "Ꭰ ꭰ", "𐐀𐐨", "ϴ θ", "\ufeffa\ufeff", "a\u0085b", "a\u180eb", "e\u200d\u0301",
]  # fmt: skip


def is_taken(character):
    """
    Assigned, and no mark whose place the tokenizers' NFC does not know: its tables end before some 100 marks of Unicode 10
    to 14, which it leaves where Node.js orders them.
    """
    if unicodedata.category(character) in ("Cn", "Cs"):
        return False
    if unicodedata.combining(character) in (0, 240):
        return True
    return normalizers.NFC().normalize_str(f"b\u0345{character}") == unicodedata.normalize("NFC", f"b\u0345{character}")


def draw_texts(seed, count):
    r = random.Random(f"texts {seed}")
    letters = {
        name: [chr(c) for low, high in ranges for c in range(low, high + 1) if is_taken(chr(c))]
        for name, ranges in SCRIPTS.items()
    }

    def word(script):
        made = "".join(r.choices(letters[script], k=r.randint(1, 7)))
        return unicodedata.normalize(r.choice(["NFC", "NFD"]), made) if r.random() < 0.3 else made

    def part(script):
        kind = r.random()
        if kind < 0.45:
            return word(script)
        if kind < 0.75:
            made = r.choice(ENGLISH)
            return r.choice([made, made, made.upper(), made.capitalize()])
        if kind < 0.80:
            return r.choice(SPECIAL)
        if kind < 0.85:
            return r.choice(EMOJI)
        if kind < 0.90:
            return r.choice(HARD)
        if kind < 0.93:
            return r.choice(CONTROLS)
        return word(r.choice(list(letters)))

    def gap():
        kind = r.random()
        if kind < 0.7:
            return " "
        if kind < 0.85:
            return ""
        return "".join(r.choices(SPACES, k=r.randint(1, 4)))

    texts = ["", " ", "\n", *HARD, *SPECIAL, *EMOJI, *(space * 3 for space in SPACES), *CONTROLS]
    scripts = list(letters)
    while len(texts) < count:
        script = scripts[len(texts) % len(scripts)]
        # Now and then one that is longer than T5's 512 tokens.
        parts = r.randint(150, 250) if len(texts) % 160 == 0 else r.randint(1, 9)
        text = "".join(piece for _ in range(parts) for piece in (part(script), gap()))
        texts.append(text if r.random() < 0.5 else text.strip())
    return texts[:count]
