import path from 'node:path';

/** The files in an edit's folder: its request, and the layer of each variant. */
export const requestFile = (folder: string): string => path.join(folder, 'request.safetensors');
export const resultFile = (folder: string, variant: number): string =>
  path.join(folder, `result.${variant}.safetensors`);
