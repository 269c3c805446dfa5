import type { EditEventBody } from '../../shared/events.ts';

/** On stderr: a line that changes in a terminal, else a line for each event. */
export class Progress {
  readonly #isTerminal = Boolean(process.stderr.isTTY);
  #open = false;

  show(event: EditEventBody): void {
    switch (event.type) {
      case 'stage':
        this.state(event.stage);
        break;
      case 'step':
        this.state(`step ${event.step} of ${event.steps}, ${Math.ceil(event.secondsLeft)} s left`);
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

  /** What it does at the moment. */
  state(text: string): void {
    process.stderr.write(this.#isTerminal ? `\r\x1b[K${text}` : `${text}\n`);
    this.#open = this.#isTerminal;
  }
}
