import sharp from 'sharp';
import { readResult } from '../../shared/protocol/result-container.ts';
import { asU16, type Container } from '../../shared/safetensors.ts';

/** The tensor `layer` of a result as PNG with straight alpha, 16-bit if the layer is. */
export async function layerPNG(result: Container): Promise<Buffer> {
  const { pixels, bounds } = readResult(result);
  const raw = { width: bounds.width, height: bounds.height, channels: 4 as const };
  // Keep the bit depth; otherwise sharp reduces everything to 8 bits.
  return pixels.dtype === 'U16'
    ? sharp(asU16(pixels.data), { raw }).toColourspace('rgb16').png().toBuffer()
    : sharp(pixels.data, { raw }).png().toBuffer();
}
