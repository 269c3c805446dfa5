/**
 * How ACE++'s authors clean an instruction for the fully fine-tuned model (modules/embedder.py,
 * `CLEAN: whitespace`; modelscope/scepter, tokenizer_component.py, `basic_clean` and `whitespace_clean`):
 * ftfy's fixes, HTML unescaped twice, each run of white space collapsed to one space. One of ftfy's fixes
 * (rspeer/python-ftfy 6.3, ftfy/fixes.py) is left out, the one for text decoded with the wrong encoding:
 * hosts pass on text as it was typed.
 */
import { decode } from 'html-entities';

export function cleanText(text: string): string {
  return unescapeHTML(unescapeHTML(fixText(text)))
    .replace(/\p{White_Space}+/gu, ' ')
    .trim();
}

/** ftfy's `fix_text`: line by line, until nothing changes. */
function fixText(text: string): string {
  let isMarkup = false;
  const lines = text.split('\n').map((line) => {
    // From a tag on, entities may be intended.
    isMarkup ||= line.includes('<');
    let [before, after] = ['', line];
    while (after !== before) [before, after] = [after, fixLine(after, !isMarkup)];
    return after;
  });
  return lines.join('\n');
}

function fixLine(line: string, unescapes: boolean): string {
  const unescaped = unescapes ? line.replace(/&#?[0-9A-Za-z]{1,24};/g, unescapeEntity) : line;
  return (
    unescaped
      .replace(/\p{Cc}/gu, (control) => (isC1(control) ? fromWindows1252(control) : control))
      .replace(/[ĲĳŉǄ-ǌǱ-ǳﬀ-ﬆ]/g, (ligature) => ligatures[ligature] ?? ligature.normalize('NFKC'))
      // Full-width and half-width forms, and the ideographic space.
      .replace(/[\u3000\uff01-\uffef]/g, (form) => form.normalize('NFKC'))
      .replace(/[ʼ‘-‛]/g, "'")
      .replace(/[“-‟]/g, '"')
      .replace(/\r\n|[\r\u2028\u2029\u0085]/g, '\n')
      .replace(/\p{Surrogate}/gu, '\ufffd')
      .replace(terminalEscape, '')
      .replace(/\p{Cc}|[\u206a-\u206f\ufeff\ufff9-\ufffc]/gu, (control) =>
        isC1(control) || '\t\n\f\r'.includes(control) ? control : '',
      )
      .normalize('NFC')
  );
}

const isC1 = (character: string) => character >= '\u0080' && character <= '\u009f';
const terminalEscape = new RegExp(`${String.fromCharCode(27)}\\[(?:\\d|;)*[a-zA-Z]`, 'g');

/** A control character that was meant as Windows-1252, where most of them are letters and symbols. */
function fromWindows1252(control: string): string {
  return windows1252.decode(Uint8Array.of(control.charCodeAt(0)));
}

const windows1252 = new TextDecoder('windows-1252');

/** Ligatures that ftfy expands differently from NFKC. */
const ligatures: Readonly<Record<string, string>> = { ŉ: 'ʼn', ﬅ: 'ſt' };

/** One entity with its semicolon; also in capitals, unless that is an entity of its own (`&EACUTE;`). */
function unescapeEntity(entity: string): string {
  const plain = decode(entity);
  if (plain !== entity || entity !== entity.toUpperCase()) return plain;
  const lower = decode(entity.toLowerCase());
  return lower === entity.toLowerCase() ? entity : lower.toUpperCase();
}

/** Python's `html.unescape`, which also accepts entities without a semicolon. */
function unescapeHTML(text: string): string {
  return decode(text, { level: 'html5', scope: 'body' });
}
