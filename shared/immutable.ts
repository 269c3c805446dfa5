/** A schema's output as a read-only type. */
export type Immutable<T> = T extends readonly unknown[] | object
  ? { readonly [Key in keyof T]: Immutable<T[Key]> }
  : T;
