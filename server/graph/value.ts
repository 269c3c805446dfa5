/** Element types that the graphs use. */
export type ElementType = 'float32' | 'float16' | 'bfloat16' | 'float8e4m3' | 'int64' | 'uint8';

export const bytesPerElement: Readonly<Record<ElementType, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float8e4m3: 1,
  int64: 8,
  uint8: 1,
};

/** A tensor in a graph: every size is known when the graph is built. */
export interface Value {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
}

/** Where a weight's bytes lie. */
export interface ExternalData {
  /** Absolute path. */
  readonly file: string;
  /** Bytes from the start of the file; any number, aligned or not. */
  readonly offset: number;
  readonly length: number;
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** `float32 [2, 3]`, for messages. */
export function describe(value: Value): string {
  return `${value.type} [${value.shape.join(', ')}]`;
}
