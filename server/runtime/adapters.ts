/** The adapters of a model, each read only once. */
import { type Adapter, type AdapterBases, openAdapter } from '../checkpoints/lora/adapter.ts';
import type { AdaptedNetwork } from '../checkpoints/lora/adapter-keys.ts';
import type { AdapterScale } from '../models/networks.ts';
import { adapterInput } from '../nn/layers.ts';
import { withGains } from './dora.ts';
import type { Arrays } from './session.ts';

/** Adapters as a network takes them: sorted, so that the same set gets the same session. */
export interface AdaptersInUse {
  readonly opened: readonly Adapter[];
  /** The names in the set; a different set needs a different session. */
  readonly names: readonly string[];
  /** The scales, as inputs of a graph. */
  readonly inputs: Arrays;
  /** The same for the same set with the same scales. */
  readonly key: string;
}

export type OpenAdapters = ReturnType<typeof adapterStore>;

/**
 * @param find the file of an adapter
 * @param check builds the graphs with an adapter, so that one that doesn't fit is refused before anything is
 * computed
 */
export function adapterStore(
  bases: AdapterBases,
  find: (name: string) => Promise<string>,
  check: (adapter: Adapter) => void = () => {},
) {
  const adapters = new Map<string, Adapter>();

  async function open(name: string): Promise<Adapter> {
    const known = adapters.get(name);
    if (known) return known;
    const adapter = await withGains(await openAdapter(name, await find(name), bases), bases);
    check(adapter);
    adapters.set(name, adapter);
    return adapter;
  }

  return {
    /** @throws CodedError `adapter-unknown`, `adapter-invalid` */
    open,
    /** The adapters that change a network. */
    async use(wanted: readonly AdapterScale[], network: AdaptedNetwork): Promise<AdaptersInUse> {
      const all = await Promise.all(
        [...scalesByName(wanted)].map(async ([name, scale]) => ({ scale, adapter: await open(name) })),
      );
      const changing = all.filter(({ adapter }) => adapter.changes[network].size > 0);
      const scales = changing.map(({ adapter, scale }) => [adapter.id, scale] as const);
      return {
        opened: changing.map(({ adapter }) => adapter),
        names: scales.map(([name]) => name),
        inputs: Object.fromEntries(
          scales.map(([name, scale]) => [adapterInput(name), Float32Array.of(scale)]),
        ),
        key: JSON.stringify(scales),
      };
    },
  };
}

/** Sorted; the scales of an adapter that is named twice add up. */
function scalesByName(adapters: readonly AdapterScale[]): Map<string, number> {
  const scales = new Map<string, number>();
  for (const { name, scale } of [...adapters].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    scales.set(name, (scales.get(name) ?? 0) + scale);
  }
  return scales;
}
