import * as v from 'valibot';
import type { Immutable } from '../../../shared/immutable.ts';
import { readJSON } from '../../../shared/parse.ts';
import { editRequestSchema } from '../../../shared/protocol/request.ts';
import type { Host } from '../host.ts';

/** What it takes to follow an edit and place its result, beyond what the companion keeps. */
const pendingEditSchema = v.object({
  id: v.string(),
  /** The layer's name. */
  name: v.string(),
  request: editRequestSchema,
  /** Where the edit image lies in the document. */
  origin: v.object({ left: v.number(), top: v.number() }),
  target: v.exactOptional(v.string()),
});
export type PendingEdit = Immutable<v.InferOutput<typeof pendingEditSchema>>;

const key = 'edit';

/**
 * Stores the edit in flight for a new panel to find; stores nothing if the document doesn't outlive the
 * panel.
 */
export function createPendingStore({ storage, capabilities }: Pick<Host, 'storage' | 'capabilities'>) {
  const { keepsDocument } = capabilities;
  return {
    async keep(pending: PendingEdit): Promise<void> {
      if (keepsDocument) await storage.set(key, JSON.stringify(pending));
    },

    async forget(): Promise<void> {
      if (keepsDocument) await storage.set(key, '');
    },

    /** The last stored edit; undefined if there is none, or none that this version can read. */
    async read(): Promise<PendingEdit | undefined> {
      const text = keepsDocument ? await storage.get(key) : undefined;
      return text ? readJSON(pendingEditSchema, text) : undefined;
    },
  };
}
