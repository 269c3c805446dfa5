import { type Signal, signal } from '@preact/signals';

const most = 300;

export interface Log {
  /** Oldest first. */
  readonly lines: Signal<readonly string[]>;
  add(text: string): void;
}

/** What happened since the panel opened, for bug reports. Never contains pictures, tokens or instructions. */
export function createLog(): Log {
  const lines = signal<readonly string[]>([]);
  return {
    lines,
    add(text) {
      const line = `${new Date().toISOString()} ${text}`;
      lines.value = [...lines.peek().slice(1 - most), line];
    },
  };
}
