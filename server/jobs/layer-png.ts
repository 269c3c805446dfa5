import sharp from 'sharp';
import { asU16, type Container } from '../../shared/safetensors.ts';

/** The tensor `layer` of a result as PNG with straight alpha, of 16 bits where the layer is. */
export async function layerPNG(result: Container): Promise<Buffer> {
  const layer = result.tensors.get('layer');
  const [height, width] = layer?.shape ?? [];
  if (!layer || !height || !width) throw new Error('the result has no layer');
  const raw = { width, height, channels: 4 as const };
  // In 16 bits or 8, sharp would otherwise bring everything to 8.
  return layer.dtype === 'U16'
    ? sharp(asU16(layer.data), { raw }).toColourspace('rgb16').png().toBuffer()
    : sharp(layer.data, { raw }).png().toBuffer();
}
