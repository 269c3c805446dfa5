import type { Host } from '../panel/host.ts';
import { decodeReference } from '../picture/decode.ts';
import { pickFiles } from '../picture/pick.ts';
import type { PageDocument } from './document.ts';

/** The page as a host: it talks to the companion that served it. */
export function createPageHost(pageDocument: PageDocument): Host {
  return {
    capabilities: { results: 'offered', previews: 'picture', keepsDocument: false },
    companions: [location.origin],
    storage: {
      get: async (key) => localStorage.getItem(`acepp.${key}`) ?? undefined,
      set: async (key, value) => localStorage.setItem(`acepp.${key}`, value),
    },
    capture: async () => pageDocument.capture(),
    place: async (variants, chosen) => pageDocument.place(variants[chosen]!),
    pickReferences: async () => {
      const files = await pickFiles(true);
      return Promise.all(files.map((file) => decodeReference(file, file.name)));
    },
  };
}
