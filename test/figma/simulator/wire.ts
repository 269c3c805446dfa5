import { runInThisContext } from 'node:vm';

/**
 * What crosses between the two realms, as text; the same source runs in Node, in the sandbox's realm and in
 * the page. Figma takes plain values and Uint8Arrays, and refuses everything else.
 */
export const wireSource = `(() => {
  // Captured before anything in the realm can be changed.
  const { entries, fromEntries, getPrototypeOf } = Object;
  const [toBase64, fromBase64] = [btoa, atob];
  return {
  encode(value) {
    const seen = (value) => {
      const kind = Object.prototype.toString.call(value);
      if (typeof value === 'function' || typeof value === 'symbol')
        throw new Error('postMessage: Cannot clone a ' + typeof value);
      if (typeof value !== 'object' || value === null) return value;
      if (kind === '[object Uint8Array]') {
        let text = '';
        for (let i = 0; i < value.length; i += 32768)
          text += String.fromCharCode.apply(null, value.subarray(i, i + 32768));
        return { $bytes: toBase64(text) };
      }
      if (Array.isArray(value)) return value.map(seen);
      const parent = getPrototypeOf(value);
      if (kind !== '[object Object]' || (parent !== null && getPrototypeOf(parent) !== null))
        throw new Error('postMessage: Cannot clone ' + kind);
      return fromEntries(entries(value).map(([key, item]) => [key, seen(item)]));
    };
    const text = JSON.stringify(seen(value));
    return text === undefined ? 'null' : text;
  },
  decode(text) {
    return JSON.parse(text, (key, value) => {
      if (!value || typeof value.$bytes !== 'string') return value;
      const bytes = fromBase64(value.$bytes);
      const array = new Uint8Array(bytes.length);
      for (let i = 0; i < bytes.length; i++) array[i] = bytes.charCodeAt(i);
      return array;
    });
  },
  };
})()`;

export interface Wire {
  encode(value: unknown): string;
  decode(text: string): unknown;
}

export const wire = runInThisContext(wireSource) as Wire;
