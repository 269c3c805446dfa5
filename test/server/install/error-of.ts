import type { CodedError } from '../../../shared/errors.ts';

/** What a promise is rejected with, if it is. */
export const errorOf = (promise: Promise<unknown>): Promise<CodedError | undefined> =>
  promise.then(
    () => undefined,
    (error: CodedError) => error,
  );
