import type { Bounds } from '../bounds.ts';
import { emptySamples, isGrey, type Samples } from '../samples.ts';
import type { PSDLayer } from './write.ts';

/**
 * Moves a layer's alpha from its pixels to an editable layer mask; the generated colour stays intact beneath
 * it.
 * @param layer with straight alpha
 */
export function maskedLayer(name: string, layer: Samples, bounds: Bounds, visible = true): PSDLayer {
  const colours = isGrey(layer) ? 1 : 3;
  const isDeep = layer.data instanceof Uint16Array;
  const pixels = emptySamples(layer, colours, isDeep);
  const mask = emptySamples(layer, 1, isDeep).data;
  for (let i = 0; i < mask.length; i++) {
    for (let c = 0; c < colours; c++) pixels.data[i * colours + c] = layer.data[i * layer.channels + c]!;
    mask[i] = layer.data[i * layer.channels + colours]!;
  }
  return { kind: 'layer', name, bounds, pixels, mask, visible };
}
