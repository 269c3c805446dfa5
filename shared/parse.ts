/** Values from another process or an earlier run are read here, and cast nowhere. */
import * as v from 'valibot';
import { CodedError } from './errors.ts';
import type { Immutable } from './immutable.ts';

type Schema = v.GenericSchema;
type Value<S extends Schema> = Immutable<v.InferOutput<S>>;

/**
 * Checks a message from another process. Fields that the schema does not know are left out.
 * @param what it is, for the error: "The answer to GET /v1/models"
 * @throws CodedError `message-invalid`, naming the field and what is there
 */
export function parseMessage<S extends Schema>(schema: S, value: unknown, what: string): Value<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output as Value<S>;
  throw new CodedError('message-invalid', {
    detail: `${what} is wrong: ${describeIssue(result.issues[0])}.`,
    remedy: 'Make sure that the companion and the panel or program have the same version.',
  });
}

/** JSON text that was kept by an earlier run; undefined for text that is not JSON, or not in the form of the schema. */
export function readJSON<S extends Schema>(schema: S, text: string): Value<S> | undefined {
  const result = v.safeParse(schema, jsonIn(text));
  return result.success ? (result.output as Value<S>) : undefined;
}

/** The value of JSON text; undefined for text that is not JSON. */
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
