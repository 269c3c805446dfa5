/** A growing buffer of big-endian bytes, as in Photoshop's files. */
export class ByteWriter {
  #parts: Uint8Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  bytes(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }

  #number(size: number, write: (view: DataView) => void): this {
    const view = new DataView(new ArrayBuffer(size));
    write(view);
    return this.bytes(new Uint8Array(view.buffer));
  }

  u8 = (value: number) => this.#number(1, (view) => view.setUint8(0, value));
  u16 = (value: number) => this.#number(2, (view) => view.setUint16(0, value));
  i16 = (value: number) => this.#number(2, (view) => view.setInt16(0, value));
  u32 = (value: number) => this.#number(4, (view) => view.setUint32(0, value));
  i32 = (value: number) => this.#number(4, (view) => view.setInt32(0, value));
  u64 = (value: number) => this.#number(8, (view) => view.setBigUint64(0, BigInt(value)));

  /** Writes one byte per character, for ASCII keys and names. */
  ascii(text: string): this {
    return this.bytes(Uint8Array.from(text, (character) => character.charCodeAt(0)));
  }

  zeros(count: number): this {
    return this.bytes(new Uint8Array(count));
  }

  /** Writes zeros up to a multiple of `size`. */
  pad(size: number): this {
    return this.zeros((size - (this.#length % size)) % size);
  }

  /** Appends another writer's bytes without copying them. */
  append(other: ByteWriter): this {
    for (const part of other.#parts) this.bytes(part);
    return this;
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
