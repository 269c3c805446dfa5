import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { EngineStatus } from '../../shared/protocol/answers.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { EditRecord } from '../jobs/record.ts';

export interface MetricsParts {
  readonly jobs: () => Jobs;
  readonly engine: { readonly status: EngineStatus };
}

/** What Prometheus scrapes at `/metrics`. Contains no instruction, name or path. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #ended: Counter<'state' | 'code'>;
  readonly #seconds: Histogram<'stage'>;
  readonly #again: Counter<string>;

  constructor({ jobs, engine }: MetricsParts) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    this.#ended = new Counter({
      name: 'acepp_edits_ended_total',
      help: 'Edits that ended since the start, by how.',
      labelNames: ['state', 'code'],
      registers,
    });
    this.#again = new Counter({
      name: 'acepp_edits_again_total',
      help: 'Runs of edits beyond the first, after a restart or a crash.',
      registers,
    });
    this.#seconds = new Histogram({
      name: 'acepp_edit_stage_seconds',
      help: 'Seconds that the stages of edits took.',
      labelNames: ['stage'],
      buckets: [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000],
      registers,
    });
    new Gauge({
      name: 'acepp_edits',
      help: 'Edits by their state.',
      labelNames: ['state'],
      registers,
      collect() {
        for (const [state, count] of Object.entries(jobs().archive.counts())) this.set({ state }, count);
      },
    });
    new Gauge({
      name: 'acepp_history_bytes',
      help: 'What all edits take on disk.',
      registers,
      collect() {
        this.set(jobs().archive.bytes());
      },
    });
    new Gauge({
      name: 'acepp_engine',
      help: '1 for the state that the engine is in, with what it has loaded.',
      labelNames: ['state', 'provider', 'model'],
      registers,
      collect() {
        const { state, provider, model } = engine.status;
        this.reset();
        this.set({ state, provider: provider ?? '', model: model ?? '' }, 1);
      },
    });
  }

  /** Counts a finished edit. */
  ended({ life, runs }: EditRecord): void {
    this.#ended.inc({ state: life.state, code: life.state === 'failed' ? life.problem.code : '' });
    if (runs > 1) this.#again.inc(runs - 1);
    if (life.state !== 'done') return;
    for (const { timings } of life.results) {
      for (const [stage, seconds] of Object.entries(timings)) this.#seconds.observe({ stage }, seconds);
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
