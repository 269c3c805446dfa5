import type { CodedError } from '../../../shared/errors.ts';

/** The error a promise rejects with, if it does. */
export const errorOf = (promise: Promise<unknown>): Promise<CodedError | undefined> =>
  promise.then(
    () => undefined,
    (error: CodedError) => error,
  );
