/** Parses values from other processes or earlier runs, which are never cast. */
import * as v from 'valibot';
import { CodedError } from './errors.ts';
import type { Immutable } from './immutable.ts';

type Schema = v.GenericSchema;
type Value<S extends Schema> = Immutable<v.InferOutput<S>>;

/**
 * Checks a message from another process, and drops unknown fields.
 * @param what names the message in the error, such as "The answer to GET /v1/models"
 * @throws CodedError `message-invalid`, naming the field and its value
 */
export function parseMessage<S extends Schema>(schema: S, value: unknown, what: string): Value<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output as Value<S>;
  throw new CodedError('message-invalid', {
    detail: `${what} is wrong: ${describeIssue(result.issues[0])}.`,
    remedy: 'Make sure that the companion and the panel or program have the same version.',
  });
}

/** Parses JSON stored by an earlier run; undefined if the text is not JSON or does not match the schema. */
export function readJSON<S extends Schema>(schema: S, text: string): Value<S> | undefined {
  const result = v.safeParse(schema, jsonIn(text));
  return result.success ? (result.output as Value<S>) : undefined;
}

/** Parses JSON; undefined if the text is not JSON. */
export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What is wrong with a value, and where: `"engine.state": Invalid type: Expected string but received 3`. */
export function describeIssue({ message, received, ...issue }: v.BaseIssue<unknown>): string {
  const path = v.getDotPath({ message, received, ...issue });
  const what = message.includes(received) ? message : `${message}, not ${received}`;
  return path ? `"${path}": ${what}` : what;
}
