import { type Samples, whiteOfSamples } from '../samples.ts';
import { ByteWriter } from './bytes.ts';

export type Plane = Uint8Array | Uint16Array;

/** One channel of interleaved samples. */
export function planeOf({ width, height, channels, data }: Samples, channel: number): Plane {
  const plane =
    data instanceof Uint16Array ? new Uint16Array(width * height) : new Uint8Array(width * height);
  for (let i = 0; i < plane.length; i++) plane[i] = data[i * channels + channel]!;
  return plane;
}

/** A plane of `white` everywhere, with the depth of `like`. */
export function whitePlane({ width, height, data }: Samples): Plane {
  const count = width * height;
  return data instanceof Uint16Array ? new Uint16Array(count).fill(65535) : new Uint8Array(count).fill(255);
}

/**
 * The colour as Photoshop stores it in a flattened picture with transparency: composited on white (see
 * `removeWhite` of the reader).
 */
export function onWhite(colour: Plane, alpha: Plane): Plane {
  const white = whiteOfSamples({ data: colour });
  const result = colour.slice();
  for (let i = 0; i < result.length; i++) {
    const over = alpha[i]! / white;
    result[i] = Math.round(colour[i]! * over + white * (1 - over));
  }
  return result;
}

/**
 * Planes preceded by their compression: PackBits for 8 bits; none for 16 bits, where it saves nothing.
 * @param width of a row
 */
export function packPlanes(planes: readonly Plane[], width: number, isLarge: boolean): ByteWriter {
  const out = new ByteWriter();
  if (planes[0] instanceof Uint16Array) {
    out.u16(0);
    for (const plane of planes) out.bytes(bigEndian(plane as Uint16Array));
    return out;
  }
  out.u16(1);
  const counts = new ByteWriter();
  const rows = new ByteWriter();
  for (const plane of planes as readonly Uint8Array[]) {
    for (let start = 0; start < plane.length; start += width) {
      const row = packBits(plane.subarray(start, start + width));
      if (isLarge) counts.u32(row.length);
      else counts.u16(row.length);
      rows.bytes(row);
    }
  }
  return out.append(counts).append(rows);
}

function bigEndian(plane: Uint16Array): Uint8Array {
  const bytes = new Uint8Array(plane.length * 2);
  for (let i = 0; i < plane.length; i++) {
    bytes[2 * i] = plane[i]! >> 8;
    bytes[2 * i + 1] = plane[i]! & 255;
  }
  return bytes;
}

/** TIFF 6.0, section 9: runs of three or more, everything else literally, in pieces of up to 128. */
function packBits(row: Uint8Array): Uint8Array {
  const packed = new Uint8Array(row.length + Math.ceil(row.length / 128) + 1);
  let to = 0;
  let literal = 0;
  const flush = (end: number) => {
    while (literal < end) {
      const count = Math.min(128, end - literal);
      packed[to++] = count - 1;
      packed.set(row.subarray(literal, literal + count), to);
      to += count;
      literal += count;
    }
  };
  for (let at = 0; at < row.length; ) {
    let end = at + 1;
    while (end < row.length && end - at < 128 && row[end] === row[at]) end++;
    if (end - at >= 3) {
      flush(at);
      packed[to++] = 257 - (end - at);
      packed[to++] = row[at]!;
      literal = end;
    }
    at = end;
  }
  flush(row.length);
  return packed.subarray(0, to);
}
