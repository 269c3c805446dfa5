/** What a schema gives, for reading only. */
export type Immutable<T> = T extends readonly unknown[] | object
  ? { readonly [Key in keyof T]: Immutable<T[Key]> }
  : T;
