/** The element types in our graphs. */
export type ElementType =
  | 'float64'
  | 'float32'
  | 'float16'
  | 'bfloat16'
  | 'float8e4m3'
  | 'float8e5m2'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'int8'
  | 'uint8';

export const bytesPerElement: Readonly<Record<ElementType, number>> = {
  float64: 8,
  float32: 4,
  float16: 2,
  bfloat16: 2,
  float8e4m3: 1,
  float8e5m2: 1,
  int64: 8,
  int32: 4,
  int16: 2,
  int8: 1,
  uint8: 1,
};

/**
 * In a shape: a length that is only known when the graph runs, so one session serves every length. Sizes can be added to it: 512 more
 * is `512 + openLength`. No real size comes near it.
 */
export const openLength = 2 ** 30;

export function isOpen(size: number): boolean {
  return size >= openLength;
}

/** A tensor in a graph. All sizes are known when the graph is built, except for an open length. */
export interface Value {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
}

/** A tuple of the same length with elements of another type. */
export type Each<Items extends readonly unknown[], Made> = { readonly [Index in keyof Items]: Made };

export function mapTuple<const Items extends readonly unknown[], Made>(
  items: Items,
  make: (item: Items[number], index: number) => Made,
): Each<Items, Made> {
  return items.map(make) as Each<Items, Made>;
}

/**
 * The size of a value along an axis.
 * @throws RangeError if it has no such axis
 */
export function sizeAlong({ name, type, shape }: Value, axis: number): number {
  const size = shape[axis];
  if (size === undefined) {
    throw new RangeError(`"${name}" is ${describe({ name, type, shape })} and has no axis ${axis}`);
  }
  return size;
}

/** The shape with its open length filled in. */
export function closedShape(shape: readonly number[], length: number): number[] {
  return shape.map((size) => (isOpen(size) ? size - openLength + length : size));
}

/** `float32 [2, 3]`, for messages. */
export function describe({ type, shape }: Value): string {
  return `${type} [${shape.map(describeSize).join(', ')}]`;
}

/** `512 + length` for an open size. */
export function describeSize(size: number): string {
  if (!isOpen(size)) return String(size);
  return size === openLength ? 'length' : `${size - openLength} + length`;
}
