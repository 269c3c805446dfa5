import { signal } from '@preact/signals';

export interface Change {
  /** The memory this change holds. */
  readonly bytes: number;
  readonly undo: () => void;
  readonly redo: () => void;
}

/**
 * Beyond this, the oldest changes can no longer be undone: a tab that runs out of memory loses everything.
 */
const mostBytes = 512e6;

/** An undo and redo history. */
export function createHistory() {
  let done: Change[] = [];
  let undone: Change[] = [];
  const canUndo = signal(false);
  const canRedo = signal(false);
  const tell = (): void => {
    canUndo.value = done.length > 0;
    canRedo.value = undone.length > 0;
  };

  return {
    canUndo,
    canRedo,

    /** Records a change that has been made. */
    push(change: Change): void {
      done.push(change);
      undone = [];
      let bytes = done.reduce((sum, one) => sum + one.bytes, 0);
      while (bytes > mostBytes && done.length > 1) bytes -= done.shift()!.bytes;
      tell();
    },

    undo(): void {
      const change = done.pop();
      if (!change) return;
      change.undo();
      undone.push(change);
      tell();
    },

    redo(): void {
      const change = undone.pop();
      if (!change) return;
      change.redo();
      done.push(change);
      tell();
    },

    clear(): void {
      done = [];
      undone = [];
      tell();
    },
  };
}
