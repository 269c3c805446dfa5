import { type Signal, signal } from '@preact/signals';
import manifest from '../../manifest.json' with { type: 'json' };
import type { Host, Storage } from '../panel/host.ts';
import { capture, type Source } from './capture.ts';
import { storage } from './modules.ts';
import { place } from './place.ts';
import { pickFiles, takeLayers } from './references.ts';
import { readRequest } from './run-again.ts';
import { decodeUTF8 } from './utf8.ts';

export interface PhotoshopHost extends Host {
  /** What is edited. */
  readonly source: Signal<Source>;
}

export function createPhotoshopHost(): PhotoshopHost {
  const source = signal<Source>('composite');
  return {
    source,
    // By number: macOS is reported to refuse `localhost` to plugins.
    companions: manifest.ports.map((port) => `http://127.0.0.1:${port}`),
    storage: panelStorage,
    placesAtOnce: true,
    offersAgain: true,
    capture: () => capture(source.value),
    place,
    pickReferences: pickFiles,
    takeReferences: takeLayers,
    readRequest,
  };
}

const prefix = 'acepp.';

/** Plain text in local storage; the token, which is a key, where the system encrypts it. */
const panelStorage: Storage = {
  async get(key) {
    if (key !== 'token') return localStorage.getItem(prefix + key) ?? undefined;
    // Secure storage may lose what it holds, and says so by throwing: then the panel is paired again.
    const bytes = await storage.secureStorage.getItem(prefix + key).catch(() => undefined);
    return bytes && bytes.length > 0 ? decodeUTF8(bytes) : undefined;
  },
  async set(key, value) {
    if (key === 'token') await storage.secureStorage.setItem(prefix + key, value);
    else localStorage.setItem(prefix + key, value);
  },
};
