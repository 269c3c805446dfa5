/**
 * Finds the provider that edits will run on, in an engine process that loads no model and exits afterwards.
 */
import { CodedError } from '../../shared/errors.ts';
import { parseMessage } from '../../shared/parse.ts';
import type { ComputeDType } from '../graph/precision.ts';
import type { Provider } from '../runtime/provider.ts';
import { type FromEngine, fromEngineSchema } from './messages.ts';
import { startProcess } from './start-process.ts';

export interface SurveyedDevice {
  readonly provider: Provider;
  /** The dtype the transformer computes in. */
  readonly dtype: ComputeDType;
}

export interface SurveyOptions {
  readonly wanted?: Provider | undefined;
  readonly unusable: ReadonlySet<Provider>;
  /** A provider that doesn't answer within this time counts as hanging. */
  readonly seconds: number;
  readonly setAside: (provider: Provider, reason: string) => void;
}

/** @throws CodedError `provider-unavailable` */
export async function surveyDevice(options: SurveyOptions): Promise<SurveyedDevice> {
  const { wanted, unusable, seconds, setAside } = options;
  const child = startProcess({ unusable: [...unusable], ...(wanted && { wanted }) });
  child.stderr?.resume();
  let trying: Provider | undefined;
  let timer: NodeJS.Timeout | undefined;
  const answer = new Promise<SurveyedDevice | 'ended'>((resolve, reject) => {
    const hear = (message: FromEngine) => {
      if (message.type === 'trying') trying = message.provider;
      if (message.type === 'provider-works') trying = undefined;
      if (message.type === 'provider-failed') setAside(message.provider, message.reason);
      if (message.type === 'surveyed') resolve({ provider: message.provider, dtype: message.dtype });
      if (message.type === 'failed') reject(CodedError.fromProblem(message.problem));
    };
    child.on('message', (value) => {
      try {
        hear(parseMessage(fromEngineSchema, value, "The engine's message"));
      } catch (thrown) {
        reject(thrown);
      }
    });
    child.once('error', () => resolve('ended'));
    child.once('close', () => resolve('ended'));
    timer = setTimeout(() => resolve('ended'), seconds * 1000);
    child.send({ type: 'survey' });
  });
  try {
    const found = await answer;
    if (found !== 'ended') return found;
  } finally {
    clearTimeout(timer);
    child.kill('SIGKILL');
  }
  if (trying === undefined || trying === wanted) {
    throw new CodedError('provider-unavailable', {
      detail: `The engine ended or did not answer while it was asked what it computes with${trying ? `: ${trying}` : ''}.`,
      remedy: 'Check the driver of the GPU, or start with --provider cpu.',
    });
  }
  setAside(trying, 'it hangs, or ends the process');
  // Try the remaining providers in another process.
  return surveyDevice({ ...options, unusable: new Set([...unusable, trying]) });
}
