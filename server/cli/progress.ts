import type { EditEventBody } from '../../shared/protocol/events.ts';

const left = (seconds: number) => `${Math.ceil(seconds)} s left`;

/** Progress on stderr: one line that updates in a terminal, otherwise a line for each event. */
export class Progress {
  readonly isTerminal = Boolean(process.stderr.isTTY);
  #open = false;

  show(event: EditEventBody): void {
    switch (event.type) {
      case 'stage':
        this.state(
          event.secondsLeft === undefined ? event.stage : `${event.stage}, ${left(event.secondsLeft)}`,
        );
        break;
      case 'step':
        this.state(`step ${event.step} of ${event.steps}, ${left(event.secondsLeft)}`);
        break;
      case 'note':
        this.line(event.text);
    }
  }

  line(text: string): void {
    this.end();
    process.stderr.write(`${text}\n`);
  }

  end(): void {
    if (this.#open) process.stderr.write('\n');
    this.#open = false;
  }

  /** Replaces the previous state. */
  state(text: string): void {
    process.stderr.write(this.isTerminal ? `\r\x1b[K${text}` : `${text}\n`);
    this.#open = this.isTerminal;
  }
}
