/** A range of bytes in a file: a tensor's data in a checkpoint, or an initializer's external data in an ONNX graph. */
export interface ByteRange {
  /** Absolute path. */
  readonly file: string;
  /** Bytes from the start of the file; need not be aligned. */
  readonly offset: number;
  readonly length: number;
}
