/** Not every UXP version has TextEncoder and TextDecoder; the container needs both, for UTF-8 only. */

export function encodeUTF8(text: string): Uint8Array<ArrayBuffer> {
  // Percent-encoding is UTF-8 by definition (ECMA-262, encodeURIComponent); lone surrogates would throw.
  // With the `u` flag, a surrogate range only matches lone surrogates; UXP 7.3 may lack \p{Surrogate}.
  const escaped = encodeURIComponent(text.replace(/[\ud800-\udfff]/gu, '\ufffd'));
  const bytes = new Uint8Array(escaped.length);
  let length = 0;
  for (let i = 0; i < escaped.length; i++) {
    const isEscape = escaped[i] === '%';
    bytes[length++] = isEscape ? Number.parseInt(escaped.slice(i + 1, i + 3), 16) : escaped.charCodeAt(i);
    if (isEscape) i += 2;
  }
  return bytes.slice(0, length);
}

/** @throws URIError if the bytes are not UTF-8 */
export function decodeUTF8(bytes: Uint8Array): string {
  let escaped = '';
  for (const byte of bytes) escaped += byte < 128 && byte !== 37 ? String.fromCharCode(byte) : hex(byte);
  return decodeURIComponent(escaped);
}

function hex(byte: number): string {
  return `%${byte.toString(16).padStart(2, '0')}`;
}

/** Installs what the page lacks. */
export function installUTF8(scope: { TextEncoder?: unknown; TextDecoder?: unknown }): void {
  scope.TextEncoder ??= class {
    encode(text = ''): Uint8Array {
      return encodeUTF8(text);
    }
  };
  scope.TextDecoder ??= class {
    decode(bytes: ArrayBuffer | ArrayBufferView = new Uint8Array()): string {
      return decodeUTF8(
        ArrayBuffer.isView(bytes)
          ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
          : new Uint8Array(bytes),
      );
    }
  };
}
