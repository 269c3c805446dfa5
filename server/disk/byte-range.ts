/** Where some bytes lie: in a checkpoint the data of a tensor, in a graph ONNX's external data of an initializer. */
export interface ByteRange {
  /** Absolute path. */
  readonly file: string;
  /** Bytes from the start of the file; any number, aligned or not. */
  readonly offset: number;
  readonly length: number;
}
