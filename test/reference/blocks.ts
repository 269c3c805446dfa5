import { readFileSync } from 'node:fs';
import path from 'node:path';
import { isBlockType, valuesOfBlocks } from '../../server/weights/ggmlBlocks.ts';
import { openStored } from '../../server/weights/header.ts';
import type { LineOf } from './lines.ts';
import { type Row, readArrays, withinAbsolute } from './measure.ts';

/** A tensor of a GGUF file, read from where our header says that it lies. */
export async function compareBlocks(folder: string, line: LineOf<'blocks'>): Promise<Row[]> {
  const file = path.join(folder, line.weights);
  const { stored } = await openStored(file);
  const tensor = stored.tensors.get(`${line.type}.weight`);
  if (!tensor || !isBlockType(tensor.dtype)) throw new Error(`${file} has no ${line.type}`);
  const { offset, length } = tensor.data;
  const bytes = Uint8Array.from(readFileSync(file).subarray(offset, offset + length));
  const reference = readArrays(folder, line.arrays).floats(line.type);
  return [withinAbsolute(line, '', valuesOfBlocks(tensor.dtype, bytes), reference, 0)];
}
