import { compareBlocks } from './blocks.ts';
import { compareEdit } from './edit.ts';
import { compareCleaned, compareNoise, compareSchedule, compareUnits } from './formulas.ts';
import type { Line } from './lines.ts';
import type { Row } from './measure.ts';
import {
  compareAutoencoder,
  compareCache,
  compareCLIP,
  compareFlux,
  compareT5,
  type How,
} from './networks.ts';
import { compareTokenizer } from './tokens.ts';

/**
 * Runs our code over what the reference was given.
 * @param folder that make.py wrote
 */
export async function compareLine(
  folder: string,
  line: Line,
  how: How = { provider: 'cpu', attention: 'fused' },
): Promise<Row[]> {
  switch (line.kind) {
    case 'flux':
      return compareFlux(folder, line, how);
    case 'cache':
      return compareCache(folder, line, how);
    case 't5':
      return compareT5(folder, line, how);
    case 'clip':
      return compareCLIP(folder, line, how);
    case 'autoencoder':
      return compareAutoencoder(folder, line, how);
    case 'tokenizer':
      return compareTokenizer(folder, line);
    case 'blocks':
      return compareBlocks(folder, line, how);
    case 'noise':
      return compareNoise(folder, line);
    case 'schedule':
      return compareSchedule(folder, line);
    case 'clean':
      return compareCleaned(folder, line);
    case 'units':
      return compareUnits(folder, line);
    case 'edit':
      return compareEdit(folder, line, how);
  }
}
