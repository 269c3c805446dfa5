import { CodedError } from '../../shared/errors.ts';
import type { ExecutionContext, PhotoshopDocument } from './api.ts';
import { selectLayers } from './descriptors.ts';
import { app, core } from './modules.ts';

/** Photoshop's error number for "another modal scope is active". */
const collision = 9;
/** Milliseconds between retries; a dialog that stays open longer is reported. */
const delays = [50, 100, 200, 400, 800, 1600];

let scopes = 0;
/** Settles when this plugin's last scope ends: the next one waits for it rather than colliding. */
let last: Promise<unknown> = Promise.resolve();

/** Whether this plugin is changing something in Photoshop, or about to. */
export function isModal(): boolean {
  return scopes > 0;
}

/**
 * Runs `work` with exclusive access to Photoshop. Never wait for the network or another scope inside it:
 * Photoshop is blocked meanwhile.
 * @param name what Photoshop shows if it takes long
 * @throws CodedError `host-busy` if a dialog is open or another plugin is at work, `cancelled` by the person
 */
export async function modally<T>(name: string, work: (context: ExecutionContext) => Promise<T>): Promise<T> {
  scopes++;
  const scope = last.then(() => enter(name, work));
  last = scope.catch(() => undefined);
  try {
    return await scope;
  } finally {
    scopes--;
  }
}

async function enter<T>(name: string, work: (context: ExecutionContext) => Promise<T>): Promise<T> {
  let context: ExecutionContext | undefined;
  for (const delay of [...delays, undefined]) {
    try {
      return await core.executeAsModal(
        (given) => {
          context = given;
          return work(given);
        },
        { commandName: name },
      );
    } catch (thrown) {
      if (context?.isCancelled) throw cancelled(name);
      if ((thrown as { number?: number } | undefined)?.number !== collision) throw thrown;
      if (delay === undefined) throw busy(thrown);
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
  throw new Error('unreachable');
}

/** Makes several changes to one document as one undo step; if any fails, all are rolled back. */
export async function inOneStep<T>(
  context: ExecutionContext,
  document: PhotoshopDocument,
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  const before = app.activeDocument;
  // Parts of the DOM always act on the active document, whichever document they are called on.
  if (before?.id !== document.id) app.activeDocument = document;
  const { hostControl } = context;
  const suspension = await hostControl.suspendHistory({ documentID: document.id, name });
  let succeeded = false;
  try {
    const value = await work();
    succeeded = true;
    return value;
  } finally {
    await hostControl.resumeHistory(suspension, succeeded);
    if (before && before.id !== document.id) app.activeDocument = before;
  }
}

/**
 * Changes a document, reads it, and rolls the changes back, leaving no history state. It also reselects the
 * layers that were selected, since Photoshop's rollback isn't known to do that.
 */
export async function rolledBack<T>(
  context: ExecutionContext,
  document: PhotoshopDocument,
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  const active = document.activeLayers.map(({ id }) => id);
  let result: { readonly value: T } | undefined;
  const takenBack = new Error('taken back');
  try {
    await inOneStep(context, document, name, async () => {
      result = { value: await work() };
      throw takenBack;
    });
  } catch (thrown) {
    if (thrown !== takenBack || !result) throw thrown;
  }
  const now = document.activeLayers.map(({ id }) => id);
  if (!context.isCancelled && now.join() !== active.join()) await selectLayers(active);
  return (result as { readonly value: T }).value;
}

/** @throws CodedError `cancelled` if the person pressed Cancel in Photoshop's progress bar */
export function goOn(context: ExecutionContext, name: string): void {
  if (context.isCancelled) throw cancelled(name);
}

function cancelled(name: string): CodedError {
  return new CodedError('cancelled', {
    detail: `“${name}” was cancelled in Photoshop.`,
    remedy: 'Try again when you like; nothing was changed.',
  });
}

function busy(cause: unknown): CodedError {
  return new CodedError('host-busy', {
    detail: 'Photoshop is busy with a dialog or another plugin.',
    remedy: 'Close the dialog, or wait for the other plugin, then try again.',
    cause,
  });
}
