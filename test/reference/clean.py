"""
Instructions as the authors clean them for the fully tuned model: modules/embedder.py, `CLEAN: whitespace`, which is
modelscope/scepter's `whitespace_clean(basic_clean(text))`. What ftfy takes for text in a wrong encoding is left out: README.md.
"""

import html
import json
import random
import re

import ftfy

TEXTS = 400
PIECES = (
    "a red circle", "{image}", "{image1} beside {image2}", "The logo is printed on the headphones.", "Café", "n\u0303", "日本語の看板",
    "don’t", "“quoted”", "‹x›", "&amp;", "&amp;amp;", "&lt;b&gt;", "&eacute;", "&EACUTE;", "&amp", "AT&T", "this&not that", "&#8364;", "&#x41;",
    "&nosuch;", "&hellip;", "fish &copy chips", "<b>bold</b>", "a < b", "ﬁne ﬂuffy", "ﬅ", "ŉ", "ǆ", "ＡＢＣ １２３！", "ｶﾀｶﾅ", "\u3000", "\u00a0",
    "\u2009", "\t", "  ", "\r\n", "\r", "\n\n", "\u2028", "\u2029", "\u0007", "\x1b[31mred\x1b[0m", "\ufeff", "\u200b", "\u206b", "🦊", "👩‍🎨", "1½", "№ 5", "…",
)  # fmt: skip


def cleaned(text):
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return re.sub(r"\s+", " ", text).strip()


def write(lines, seed):
    r = random.Random(seed)
    texts = []
    while len(texts) < TEXTS:
        text = r.choice(("", " ")).join(r.choice(PIECES) for _ in range(r.randint(1, 9)))
        if ftfy.fix_text(text) == ftfy.fix_text(text, fix_encoding=False):
            texts.append(text)
    pairs = [[text, cleaned(text)] for text in texts]
    (lines.folder / "cleaned.json").write_text(json.dumps(pairs, ensure_ascii=True, indent=0) + "\n")
    lines.add("clean", "Cleaning of instructions", f"{len(pairs)} texts", texts="cleaned.json")
