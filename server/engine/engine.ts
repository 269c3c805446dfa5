import type { ChildProcess } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { CodedError } from '../../shared/errors.ts';
import { parseMessage } from '../../shared/parse.ts';
import type { EngineStatus } from '../../shared/protocol/answers.ts';
import type { EditEventBody } from '../../shared/protocol/events.ts';
import type { EditResult } from '../../shared/protocol/result.ts';
import { cudaAdvice } from '../runtime/environment.ts';
import { diagnose, knownDiagnosis } from '../runtime/error-diagnosis.ts';
import { exceptionIn, loadFailure } from '../runtime/load-failure.ts';
import { killsForMemory, outOfMemoryError, saysOutOfMemory } from '../runtime/out-of-memory.ts';
import type { Provider } from '../runtime/provider.ts';
import { type FromEngine, fromEngineSchema, type ToEngine } from './messages.ts';
import { startProcess } from './start-process.ts';
import { type SurveyedDevice, surveyDevice } from './survey.ts';
import { type SilenceLimits, Watchdog } from './watchdog.ts';

export interface EngineOptions {
  /** Use only this provider; otherwise the best one that works. */
  readonly provider?: Provider | undefined;
  /** Logs what the user should know: which providers could not be used, and why. */
  readonly log: (text: string) => void;
  /** Gets the engine's stderr line by line, for debugging; errors include its last lines anyway. */
  readonly trace?: (line: string) => void;
  readonly limits?: Partial<EngineLimits>;
}

/** Seconds. */
export interface EngineLimits extends SilenceLimits {
  /** For a new process to start listening. */
  readonly start: number;
  /** Between two pings to an idle engine. */
  readonly ping: number;
  /** For a listening process to answer. */
  readonly answer: number;
  /** For the tiny graph that probes a provider. */
  readonly probe: number;
  /** After a cancel; then the process is killed, so the user does not wait for a long step. */
  readonly cancel: number;
  /** After the last edit; then the engine stops to free its memory. */
  readonly idle: number;
}

const defaultLimits: EngineLimits = {
  silence: 1800,
  leastSilence: 60,
  start: 120,
  ping: 30,
  answer: 20,
  probe: 60,
  cancel: 10,
  idle: 600,
};
const stderrLines = 40;

/** An edit to run. */
export interface EngineEdit {
  readonly id: string;
  /** Contains the request; the results are written here too. */
  readonly folder: string;
  /** How often it was started, including this time. */
  readonly runs: number;
}

interface Job extends EngineEdit {
  readonly watchdog: Watchdog;
  readonly onEvent: (event: EditEventBody) => void;
  readonly results: EditResult[];
  readonly killsBefore: number;
  readonly resolve: (results: readonly EditResult[]) => void;
  readonly reject: (error: CodedError) => void;
  cancelled: boolean;
}

/** The loaded model, as requested and as it runs. */
export type LoadedModel = Extract<FromEngine, { readonly type: 'loaded' }>;

/**
 * The companion's side of the engine process: starts it on demand, kills it when it hangs, reports why it
 * died.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #limits: EngineLimits;
  readonly #unusable = new Set<Provider>();
  #child: ChildProcess | undefined;
  #job: Job | undefined;
  #loaded: LoadedModel | undefined;
  #device: Promise<SurveyedDevice> | undefined;
  #trying: Provider | undefined;
  /** The last lines of stderr, oldest first. */
  #stderr: string[] = [];
  /** Why we killed the process ourselves. */
  #killedFor: CodedError | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pinger: NodeJS.Timeout | undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
  }

  get status(): EngineStatus {
    const state = !this.#child ? 'stopped' : !this.#job ? 'idle' : this.#loaded ? 'running' : 'starting';
    return { state, provider: this.#loaded?.provider ?? null, model: this.#loaded?.model ?? null };
  }

  /** Undefined if no model is loaded, such as after an idle time. */
  get loaded(): LoadedModel | undefined {
    return this.#loaded;
  }

  /**
   * The device edits run on: known from the last edit, or surveyed by a process that loads no model.
   * @throws CodedError `provider-unavailable`
   */
  device(): Promise<SurveyedDevice> {
    const { provider } = this.#options;
    // The CPU needs no probing.
    if (provider === 'cpu') return Promise.resolve({ provider, dtype: 'float32' });
    this.#device ??= surveyDevice({
      unusable: this.#unusable,
      wanted: provider,
      seconds: this.#limits.start + this.#limits.probe,
      setAside: (unusable, reason) => this.#setAside(unusable, reason),
    }).catch((cause) => {
      this.#device = undefined;
      throw cause;
    });
    return this.#device;
  }

  /** The current process's id, for measuring or killing it. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Runs an edit, one at a time; all variants are in its folder before this resolves.
   * @throws CodedError of the pipeline, or `cancelled`, `engine-died`, `engine-hung`, `out-of-memory`
   */
  run(edit: EngineEdit, onEvent: (event: EditEventBody) => void): Promise<readonly EditResult[]> {
    if (this.#job) throw new Error(`the engine runs ${this.#job.id} and cannot run ${edit.id}`);
    return new Promise((resolve, reject) => {
      const killsBefore = killsForMemory();
      const watchdog = new Watchdog(this.#limits);
      this.#job = { ...edit, watchdog, onEvent, results: [], killsBefore, resolve, reject, cancelled: false };
      this.#startJob(this.#job);
    });
  }

  /** Cancels the running edit between two steps, or kills the process if a step takes too long. */
  cancel(id: string): void {
    if (this.#job?.id !== id || this.#job.cancelled) return;
    this.#job.cancelled = true;
    this.#send({ type: 'cancel' });
    this.#watch(this.#limits.cancel, () => this.#kill(cancelled()));
  }

  /** Stops the process and cancels a running edit. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    if (this.#job) this.#job.cancelled = true;
    this.#kill(cancelled());
    await ended;
  }

  #startJob(job: Job): void {
    const { id, folder, runs } = job;
    clearTimeout(this.#pinger);
    this.#stderr = [];
    const child = this.#child;
    // It may have just died, before its 'close' event.
    if (child && (child.exitCode !== null || child.signalCode !== null || !child.connected)) this.#retire();
    if (this.#child) {
      // A hanging engine has not started this edit: give it to a new one.
      this.#watch(this.#limits.answer, () => {
        this.#options.log('The idle engine did not answer and is being replaced.');
        this.#retire();
        if (!job.cancelled) this.#startJob(job);
      });
    } else {
      this.#child = this.#start();
      this.#watch(this.#limits.start, () => this.#kill(hung(this.#limits.start, this.#lastWords())));
    }
    this.#send({ type: 'run', id, folder, runs });
  }

  #start(): ChildProcess {
    const { provider } = this.#options;
    const child = startProcess({ unusable: [...this.#unusable], ...(provider && { wanted: provider }) });
    child.on('message', (message) => this.#receive(message));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#keepStderr(text));
    // A process that could not be started emits no 'close'.
    child.on('error', (error) => {
      this.#keepStderr(`${error.message}\n`);
      if (child.pid === undefined) this.#ended(child, null, null);
    });
    child.on('close', (code, signal) => this.#ended(child, code, signal));
    return child;
  }

  #send(message: ToEngine): void {
    // If the engine dies at this moment, 'close' reports it.
    if (this.#child?.connected) this.#child.send(message, () => {});
  }

  #receive(value: unknown): void {
    try {
      this.#hear(parseMessage(fromEngineSchema, value, "The engine's message"));
    } catch (thrown) {
      // Its next messages cannot be trusted.
      this.#kill(CodedError.from(thrown));
    }
  }

  #hear(message: FromEngine): void {
    const job = this.#job;
    if (!job && message.type === 'alive') this.#pingLater();
    if (!job || this.#killedFor) return;
    if (message.type === 'event') job.watchdog.saw(message.event);
    if (!job.cancelled) this.#watchSilence(job);
    switch (message.type) {
      case 'trying':
        this.#trying = message.provider;
        if (!job.cancelled) this.#watchProbe(message.provider);
        break;
      case 'provider-works':
        this.#trying = undefined;
        break;
      case 'provider-failed':
        this.#trying = undefined;
        this.#setAside(message.provider, message.reason);
        break;
      case 'loaded':
        this.#loaded = message;
        this.#device = Promise.resolve({ provider: message.provider, dtype: message.dtype });
        break;
      case 'event':
        job.onEvent(message.event);
        break;
      case 'result':
        job.results.push(message.result);
        break;
      case 'finished':
        this.#settle(job);
        job.resolve(job.results);
        break;
      case 'failed': {
        const error = CodedError.fromProblem(message.problem);
        void this.#withReason(error).then((full) => {
          this.#settle(job);
          job.reject(full);
        });
      }
    }
  }

  /**
   * ONNX Runtime only writes to stderr why a provider does not load, which arrives separately from the
   * message.
   */
  async #withReason(error: CodedError): Promise<CodedError> {
    if (error.code !== 'provider-unavailable') return error;
    await delay(200);
    const known = knownDiagnosis(this.#stderr.join(' '));
    const reason = known ? `${known}.` : this.#lastWords();
    if (reason === '' || error.detail.includes(reason)) return error;
    return new CodedError(error.code, { detail: `${error.detail} ${reason}`, remedy: error.remedy });
  }

  #settle(job: Job): void {
    if (this.#job !== job) return;
    this.#job = undefined;
    this.#trying = undefined;
    this.#watch(this.#limits.idle, () => this.#retire());
    this.#timer?.unref();
    this.#pingLater();
  }

  /** Detects an idle engine that hangs before somebody needs it, and frees its memory. */
  #pingLater(): void {
    clearTimeout(this.#pinger);
    this.#pinger = setTimeout(() => {
      this.#send({ type: 'ping' });
      this.#pinger = setTimeout(() => {
        this.#options.log('The idle engine did not answer and was killed.');
        this.#retire();
      }, this.#limits.answer * 1000).unref();
    }, this.#limits.ping * 1000).unref();
  }

  /** Kills an idle process; the next edit starts a new one. */
  #retire(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#pinger);
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
    this.#loaded = undefined;
  }

  #ended(child: ChildProcess, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#child !== child) return;
    const job = this.#job;
    const killedFor = this.#killedFor;
    const tried = this.#trying;
    this.#child = undefined;
    this.#killedFor = undefined;
    this.#trying = undefined;
    this.#loaded = undefined;
    clearTimeout(this.#timer);
    clearTimeout(this.#pinger);
    if (!job) return;
    const how = signal ? `was killed by ${signal}` : `exited with code ${code}`;
    if (tried && tried !== this.#options.provider && !job.cancelled) {
      this.#setAside(tried, killedFor ? 'it hangs' : `the engine ${how}`);
      this.#startJob(job);
      return;
    }
    this.#job = undefined;
    job.reject(killedFor ?? (job.cancelled ? cancelled() : this.#whyItDied(how, signal, job)));
  }

  #whyItDied(how: string, signal: NodeJS.Signals | null, job: Job): CodedError {
    const failure = loadFailure(this.#stderr.join('\n'));
    if (failure) {
      const detail = `ONNX Runtime cannot be loaded: ${failure.reason}.`;
      return new CodedError('provider-unavailable', { detail, remedy: failure.remedy });
    }
    const said = this.#lastWords();
    if (saysOutOfMemory(said)) return outOfMemoryError(`the engine ${how}. ${said}`);
    if (signal === 'SIGKILL' && killsForMemory() > job.killsBefore) {
      return outOfMemoryError('the system killed the engine because memory ran out');
    }
    return new CodedError('engine-died', {
      detail: `The engine ${how} during the edit. ${said || 'It printed nothing before that.'}`,
      remedy: 'Run the edit again, with a new engine. If it dies again, report this text.',
    });
  }

  #setAside(provider: Provider, reason: string): void {
    this.#unusable.add(provider);
    this.#options.log(`The provider ${provider} does not work here and is skipped: ${diagnose(reason)}.`);
    const text = provider === 'cuda' ? cudaAdvice() : undefined;
    if (text) this.#job?.onEvent({ type: 'note', text });
  }

  #watchSilence({ watchdog }: Job): void {
    const seconds = watchdog.patience;
    this.#watch(seconds, () => this.#kill(hung(seconds, this.#lastWords())));
  }

  #watchProbe(provider: Provider): void {
    this.#watch(this.#limits.probe, () =>
      this.#kill(
        new CodedError('provider-unavailable', {
          detail: `The provider "${provider}" did not answer within ${this.#limits.probe} seconds.`,
          remedy: 'Check the GPU driver, or leave out --provider.',
        }),
      ),
    );
  }

  #watch(seconds: number, onTimeout: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(onTimeout, seconds * 1000);
  }

  #kill(reason: CodedError): void {
    this.#killedFor = reason;
    this.#child?.kill('SIGKILL');
  }

  #keepStderr(text: string): void {
    // ONNX Runtime colours its lines.
    const lines = stripVTControlCharacters(text)
      .split('\n')
      .filter((line) => line.trim() !== '');
    this.#stderr = [...this.#stderr, ...lines].slice(-stderrLines);
    for (const line of lines) this.#options.trace?.(line);
  }

  /** The last lines of stderr as one, short enough for a message. */
  #lastWords(): string {
    const exception = exceptionIn(this.#stderr.join('\n'));
    const words = [exception ?? '', ...this.#stderr.slice(exception ? -2 : -6)]
      .join(' ')
      .replaceAll(/\s+/g, ' ')
      .trim();
    return words && `It said: ${words.slice(-1200)}`;
  }
}

function hung(seconds: number, lastWords: string): CodedError {
  const limit = seconds < 10 ? seconds.toFixed(1) : Math.round(seconds);
  return new CodedError('engine-hung', {
    detail: `The engine did not respond for ${limit} seconds and was killed. ${lastWords}`.trim(),
    remedy: 'Run the edit again. If it hangs again, use a smaller window.maxSequence.',
  });
}

function cancelled(): CodedError {
  return new CodedError('cancelled', { detail: 'The edit was cancelled.', remedy: 'Run it again.' });
}
