import { type Signal, signal } from '@preact/signals';
import type { Capture, Host, Storage } from '../panel/host.ts';
import { capture, type Source } from './capture.ts';
import { readTarget } from './documents.ts';
import { companionAddresses } from './manifest.ts';
import { app, storage } from './modules.ts';
import { place } from './place.ts';
import type { MaskSource } from './read-mask.ts';
import { createRecipeNotes } from './recipe-notes.ts';
import { pickFiles, takeLayers } from './references.ts';
import { createResults, type Results } from './results.ts';
import { readRequest } from './run-again.ts';
import { decodeUTF8 } from './utf8.ts';

export interface PhotoshopHost extends Host {
  /** What is edited. */
  readonly source: Signal<Source>;
  readonly mask: Signal<MaskSource>;
  readonly results: Results;
}

export function createPhotoshopHost(): PhotoshopHost {
  const source = signal<Source>('composite');
  const mask = signal<MaskSource>('selection');
  const results = createResults();
  const notes = createRecipeNotes(panelStorage);
  /** Rerunning with another seed edits the same pixels, whatever was placed over them since. */
  let last: Capture | undefined;
  return {
    source,
    mask,
    results,
    companions: companionAddresses,
    storage: panelStorage,
    capabilities: { results: 'placed', previews: 'panel', keepsDocument: true },
    async capture(again = false) {
      if (again && last && isActive(last)) return last;
      last = await capture({ source: source.value, mask: mask.value }, results);
      return last;
    },
    place: (variants, chosen, options) => place(variants, chosen, { ...options, results, notes }),
    pickReferences: pickFiles,
    takeReferences: () => takeLayers(results),
    readRequest: (history) => readRequest(notes, history),
  };
}

function isActive({ target }: Capture): boolean {
  return target !== undefined && readTarget(target).documentID === app.activeDocument?.id;
}

const prefix = 'acepp.';

/** Plain text goes to local storage; the token, which is a secret, to the system's encrypted storage. */
const panelStorage: Storage = {
  async get(key) {
    if (key !== 'token') return localStorage.getItem(prefix + key) ?? undefined;
    // Secure storage may lose its data, and throws if it has: the panel is then paired again.
    const bytes = await storage.secureStorage.getItem(prefix + key).catch(() => undefined);
    return bytes && bytes.length > 0 ? decodeUTF8(bytes) : undefined;
  },
  /** @throws Error only for the token: losing anything else just makes the next start less convenient */
  async set(key, value) {
    if (key === 'token') {
      await storage.secureStorage.setItem(prefix + key, value);
      return;
    }
    try {
      localStorage.setItem(prefix + key, value);
    } catch {
      // The storage is full or locked.
    }
  },
};
