import * as v from 'valibot';
import type { Immutable } from '../../../shared/immutable.ts';
import { readJSON } from '../../../shared/parse.ts';
import { editRequestSchema } from '../../../shared/protocol/request.ts';
import type { Host } from '../host.ts';

/** What is needed to follow an edit and to place its result, apart from what the companion keeps. */
const pendingEditSchema = v.object({
  id: v.string(),
  /** Of the layer. */
  name: v.string(),
  request: editRequestSchema,
  /** Where the edit image lies in the document. */
  origin: v.object({ left: v.number(), top: v.number() }),
  target: v.exactOptional(v.string()),
});
export type PendingEdit = Immutable<v.InferOutput<typeof pendingEditSchema>>;

const key = 'edit';

/** Keeps the edit that is on its way where a new panel finds it; nothing is kept where the host wants none offered. */
export function createPendingStore({ storage, capabilities }: Pick<Host, 'storage' | 'capabilities'>) {
  const { keepsDocument } = capabilities;
  return {
    async keep(pending: PendingEdit): Promise<void> {
      if (keepsDocument) await storage.set(key, JSON.stringify(pending));
    },

    async forget(): Promise<void> {
      if (keepsDocument) await storage.set(key, '');
    },

    /** The edit that was kept last; undefined where there is none, or one that a later version cannot read. */
    async read(): Promise<PendingEdit | undefined> {
      const text = keepsDocument ? await storage.get(key) : undefined;
      return text ? readJSON(pendingEditSchema, text) : undefined;
    },
  };
}
