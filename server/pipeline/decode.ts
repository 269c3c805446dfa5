import type { UnitLayout } from '../../shared/units.ts';
import type { Networks, PlanarImage } from '../models/networks.ts';
import { unpack } from './packing.ts';

/**
 * Decodes only the target, [3, h, w] in [-1, 1], which is the right end of the joined latent; decoding the
 * references would be wasted work.
 * @param latent packed, [tokens, 64]
 */
export function decodeTarget(
  networks: Networks,
  latent: Float32Array,
  { joined, target }: UnitLayout,
): Promise<PlanarImage> {
  const grid = { rows: joined.height / 16, columns: joined.width / 16 };
  return networks.vaeDecode(unpack(latent, grid, (joined.width - target.width) / 16));
}
