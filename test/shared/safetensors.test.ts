import { describe, expect, test } from 'vitest';
import { CodedError } from '../../shared/errors.ts';
import {
  asU16,
  bytesOf,
  type Container,
  decodeContainer,
  encodeContainer,
  parseHeader,
} from '../../shared/safetensors.ts';

function sample(): Container {
  return {
    metadata: { request: '{"instruction":"ein Käfig – 檻"}' },
    tensors: new Map([
      ['mask', { dtype: 'U8', shape: [1, 3], data: new Uint8Array([0, 255, 7]) }],
      ['edit', { dtype: 'U16', shape: [2], data: bytesOf(new Uint16Array([1, 65535])) }],
    ]),
  };
}

/** A container with the caller's header, valid or not. */
function containerWith(header: string, data = new Uint8Array(0)): Uint8Array {
  const json = new TextEncoder().encode(header);
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

function refusal(bytes: Uint8Array): CodedError {
  try {
    decodeContainer(bytes);
  } catch (error) {
    if (error instanceof CodedError) return error;
    throw error;
  }
  throw new Error('the container was accepted');
}

describe('a container', () => {
  test('round-trips, including non-ASCII text and unaligned 16-bit data', () => {
    const back = decodeContainer(encodeContainer(sample()));
    expect(back.metadata).toEqual(sample().metadata);
    expect([...back.tensors.get('mask')!.data]).toEqual([0, 255, 7]);
    expect([...asU16(back.tensors.get('edit')!.data)]).toEqual([1, 65535]);
  });

  test('has data aligned to eight bytes', () => {
    const bytes = encodeContainer(sample());
    expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0);
  });
});

describe('a malformed container is rejected with the reason:', () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ['shorter than its prefix', new Uint8Array(5), /5 bytes/],
    ['a header of 2^60 bytes', new Uint8Array([0, 0, 0, 0, 0, 0, 0, 16, 123, 125]), /1152921504606847/],
    ['cut inside its header', encodeContainer(sample()).slice(0, 40), /ends after 40/],
    ['cut inside its data', encodeContainer(sample()).slice(0, -1), /"edit"/],
    ['a header that is not JSON', containerWith('{"a"'), /not JSON/],
    ['a header that is a list', containerWith('[]'), /not a JSON object/],
    ['an unknown dtype', containerWith('{"a":{"dtype":"Q4","shape":[],"data_offsets":[0,0]}}'), /"a".*Q4/],
    ['a negative size', containerWith('{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}'), /"a"/],
    ['offsets out of order', containerWith('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}}'), /"a"/],
    [
      'offsets that disagree with the shape',
      containerWith('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', new Uint8Array(4)),
      /has 4 bytes, but F32 \[2\] needs 8/,
    ],
    [
      'tensors that overlap',
      containerWith(
        '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
        new Uint8Array(3),
      ),
      /"a" and "b" overlap/,
    ],
    [
      'bytes before its first tensor',
      containerWith('{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', new Uint8Array(2)),
      /no tensor at bytes 0 to 1, before "a"/,
    ],
    [
      'bytes between two tensors',
      containerWith(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        new Uint8Array(3),
      ),
      /no tensor at bytes 1 to 2, before "a"/,
    ],
    [
      'bytes after its last tensor',
      containerWith('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(2)),
      /the last tensor, "a", ends at byte 1, but there are 2/,
    ],
    ['metadata that is not text', containerWith('{"__metadata__":{"a":1}}'), /__metadata__/],
  ];
  test.each(cases)('%s', (_, bytes, words) => {
    const error = refusal(bytes);
    expect(error.code).toBe('container-invalid');
    expect(error.detail).toMatch(words);
  });

  test('a shape whose product is beyond 2^53 does not wrap around to a small one', () => {
    const shape = [2 ** 40, 2 ** 40];
    const header = JSON.stringify({ a: { dtype: 'U8', shape, data_offsets: [0, 0] } });
    expect(() => parseHeader(header, 0, 'x')).toThrow(CodedError);
  });
});
