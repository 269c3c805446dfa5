/** ICC profiles made here: grey of one gamma, and RGB of given primaries (ICC.1:2022, 7 to 10). */
const text = (name: string) => Buffer.from(name, 'latin1');
const s15 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(Math.round(value * 65536));
  return bytes;
};
const xyz = (values: readonly number[]) => Buffer.concat([text('XYZ '), Buffer.alloc(4), ...values.map(s15)]);
const gammaCurve = (gamma: number) => {
  const tag = Buffer.concat([text('curv'), Buffer.alloc(4), Buffer.from([0, 0, 0, 1]), Buffer.alloc(4)]);
  tag.writeUInt16BE(Math.round(gamma * 256), 12);
  return tag;
};
/** A name in version 2's form. */
const description = (name: string) => {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(name.length + 1);
  return Buffer.concat([
    text('desc'),
    Buffer.alloc(4),
    count,
    text(name),
    Buffer.alloc(1 + 4 + 4 + 2 + 1 + 67 + 3),
  ]);
};
const d50 = [0.9642, 1, 0.8249];

function profile(space: 'GRAY' | 'RGB ', tags: Readonly<Record<string, Buffer>>): Uint8Array {
  const all = {
    desc: description('test'),
    wtpt: xyz(d50),
    cprt: Buffer.concat([text('text'), Buffer.alloc(4), text('CC0\0')]),
    ...tags,
  };
  const entries = Object.entries(all).map(([name, data]) => ({
    name,
    data: Buffer.concat([data, Buffer.alloc((4 - (data.length % 4)) % 4)]),
  }));
  const table = Buffer.alloc(4 + 12 * entries.length);
  table.writeUInt32BE(entries.length);
  let at = 128 + table.length;
  for (const [i, { name, data }] of entries.entries()) {
    table.write(name, 4 + 12 * i, 'latin1');
    table.writeUInt32BE(at, 8 + 12 * i);
    table.writeUInt32BE(data.length, 12 + 12 * i);
    at += data.length;
  }
  const header = Buffer.alloc(128);
  header.writeUInt32BE(at);
  header.writeUInt32BE(0x02100000, 8);
  header.write(`mntr${space}XYZ `, 12, 'latin1');
  header.write('acsp', 36, 'latin1');
  for (const [i, value] of d50.entries()) s15(value).copy(header, 68 + 4 * i);
  return Buffer.concat([header, table, ...entries.map(({ data }) => data)]);
}

export const gammaProfile = (gamma: number): Uint8Array => profile('GRAY', { kTRC: gammaCurve(gamma) });

/** Adobe RGB (1998): gamma 563/256, its primaries adapted to D50 (the specification, Annex A). */
export function adobeRGB(): Uint8Array {
  const curve = gammaCurve(563 / 256);
  return profile('RGB ', {
    rXYZ: xyz([0.60974, 0.31111, 0.01947]),
    gXYZ: xyz([0.20528, 0.62567, 0.06087]),
    bXYZ: xyz([0.14919, 0.06322, 0.74457]),
    rTRC: curve,
    gTRC: curve,
    bTRC: curve,
  });
}
