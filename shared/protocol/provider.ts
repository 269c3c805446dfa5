/** The ONNX Runtime execution providers we use, fastest first: the order in which they are tried. */
export const providers = ['cuda', 'dml', 'webgpu', 'cpu'] as const;
export type Provider = (typeof providers)[number];
