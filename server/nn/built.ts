import path from 'node:path';
import { CodedError } from '../../shared/errors.ts';
import { invalidFile, type WeightsFile } from '../checkpoints/weights-file.ts';

/** Builds something over a file; errors name the file. */
export function built<T>(file: WeightsFile, build: () => T): T {
  try {
    return build();
  } catch (cause) {
    const isNamed = !(cause instanceof CodedError) || cause.detail.includes(path.dirname(file.file));
    throw isNamed ? cause : invalidFile(`${file.file}: ${cause.detail}`, cause);
  }
}
