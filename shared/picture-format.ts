/** The supported picture formats, recognized by their first bytes, never by file name. */

/** Suffixes of tensors that hold an encoded file, such as `edit.png`. */
export const encodings = ['png', 'jpg', 'webp', 'tif', 'avif', 'gif', 'psd', 'psb'] as const;
export type Encoding = (typeof encodings)[number];

export const readableFormats = 'PNG, JPEG, WebP, TIFF, AVIF, GIF or PSD';

/** This many bytes are enough to recognize a format. */
export const signatureBytes = 64;

interface Signature {
  readonly name: string;
  readonly encoding?: Encoding;
  readonly fits: (start: string) => boolean;
}

const begins =
  (...texts: readonly string[]) =>
  (start: string) =>
    texts.some((text) => start.startsWith(text));
/** Matches an ISO base media file (ISO/IEC 14496-12, 4.3) of one of these brands. */
const brand = (names: RegExp) => (start: string) =>
  start.slice(4, 8) === 'ftyp' && names.test(start.slice(8));

/**
 * In this order: PSD (Adobe's File Formats Specification), PNG (W3C PNG, 5.2), JPEG (ITU T.81, B.1.1.3), WebP
 * (RFC 9649, 2.4).
 */
const signatures: readonly Signature[] = [
  { name: 'PNG', encoding: 'png', fits: begins('\x89PNG\r\n\x1a\n') },
  { name: 'JPEG', encoding: 'jpg', fits: begins('\xff\xd8\xff') },
  {
    name: 'WebP',
    encoding: 'webp',
    fits: (start) => start.startsWith('RIFF') && start.slice(8, 12) === 'WEBP',
  },
  { name: 'PSD', encoding: 'psd', fits: begins('8BPS\0\x01') },
  { name: 'PSB', encoding: 'psb', fits: begins('8BPS\0\x02') },
  { name: 'Canon raw', fits: (start) => /^II\*\0....CR/s.test(start) },
  { name: 'TIFF', encoding: 'tif', fits: begins('II*\0', 'MM\0*', 'II+\0', 'MM\0+') },
  { name: 'GIF', encoding: 'gif', fits: begins('GIF87a', 'GIF89a') },
  // Before HEIC: an AVIF may also carry "mif1", which both use (AV1 Image File Format, 6).
  { name: 'AVIF', encoding: 'avif', fits: brand(/avi[fs]/) },
  { name: 'HEIC', fits: brand(/hei[cmsx]|hev[cmsx]|mif1|msf1/) },
  { name: 'Canon raw', fits: brand(/^crx /) },
  { name: 'JPEG XL', fits: begins('\xff\x0a', '\0\0\0\x0cJXL \r\n\x87\n') },
  { name: 'JPEG 2000', fits: begins('\xff\x4f\xff\x51', '\0\0\0\x0cjP  ') },
  { name: 'BMP', fits: begins('BM') },
  { name: 'ICO', fits: begins('\0\0\x01\0') },
  { name: 'OpenEXR', fits: begins('\x76\x2f\x31\x01') },
  { name: 'Radiance HDR', fits: begins('#?RADIANCE', '#?RGBE') },
  { name: 'PDF', fits: begins('%PDF') },
  { name: 'PostScript', fits: begins('%!PS') },
  { name: 'GIMP', fits: begins('gimp xcf') },
  { name: 'SVG', fits: (start) => /^\s*<(svg|\?xml)/.test(start) },
  { name: 'HTML', fits: (start) => /^\s*<(!doctype|html)/i.test(start) },
  { name: 'ZIP', fits: begins('PK\x03\x04') },
];

export interface FoundFormat {
  /** The format's name, or a description of the bytes. */
  readonly name: string;
  /** Absent if we can't read such files. */
  readonly encoding?: Encoding;
}

/** @param start the first `signatureBytes` of a file, or the whole file */
export function formatOf(start: Uint8Array): FoundFormat {
  if (start.length === 0) return { name: 'empty' };
  const text = String.fromCharCode(...start.subarray(0, signatureBytes));
  const found = signatures.find(({ fits }) => fits(text));
  if (found) return found;
  const hex = [...start.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return { name: `unknown (it begins with ${hex})` };
}
