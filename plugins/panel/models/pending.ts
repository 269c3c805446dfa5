import { type EditRequest, parseEditRequest } from '../../../shared/protocol/request.ts';
import type { Host } from '../host.ts';

/** What is needed to follow an edit and to place its result, apart from what the companion keeps. */
export interface PendingEdit {
  readonly id: string;
  /** Of the layer. */
  readonly name: string;
  readonly request: EditRequest;
  /** Where the edit image lies in the document. */
  readonly origin: { readonly left: number; readonly top: number };
  readonly target?: string;
}

const key = 'edit';

/** Keeps the edit that is on its way where a new panel finds it; nothing is kept where the host wants none offered. */
export function createPendingStore({ storage, offersAgain }: Pick<Host, 'storage' | 'offersAgain'>) {
  return {
    async keep(pending: PendingEdit): Promise<void> {
      if (offersAgain) await storage.set(key, JSON.stringify(pending));
    },

    async forget(): Promise<void> {
      if (offersAgain) await storage.set(key, '');
    },

    /** The edit that was kept last; undefined where there is none, or one that a later version cannot read. */
    async read(): Promise<PendingEdit | undefined> {
      const text = offersAgain ? await storage.get(key) : undefined;
      if (!text) return undefined;
      try {
        const pending = JSON.parse(text) as PendingEdit;
        return { ...pending, request: parseEditRequest(JSON.stringify(pending.request)) };
      } catch {
        return undefined;
      }
    },
  };
}
