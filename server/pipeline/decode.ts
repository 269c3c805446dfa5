import type { UnitLayout } from '../../shared/units.ts';
import type { Networks, PlanarImage } from '../models/networks.ts';
import { unpack } from './packing.ts';

/**
 * The target alone, [3, h, w] in [-1, 1]: the right end of the joined latent, the references being decoded for nothing.
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
