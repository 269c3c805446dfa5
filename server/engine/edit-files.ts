import path from 'node:path';

/** The file of a request, and of each variant's layer, in an edit's folder. */
export const requestFile = (folder: string): string => path.join(folder, 'request.safetensors');
export const resultFile = (folder: string, variant: number): string =>
  path.join(folder, `result.${variant}.safetensors`);
