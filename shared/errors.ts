/**
 * Every way an edit can be refused or fail, with its HTTP status. Codes are stable, so clients can switch on
 * them.
 */
export const errorStatus = {
  'request-invalid': 400,
  'container-invalid': 400,
  'image-invalid': 400,
  'mask-empty': 422,
  /** Its brightest value is so dark that the layer would hardly be visible. */
  'mask-faint': 422,
  'mask-size': 422,
  'instruction-empty': 422,
  'task-needs': 422,
  'too-large': 413,
  'token-missing': 401,
  'token-wrong': 401,
  'pairing-wrong': 403,
  'pairing-over': 410,
  'pairing-limit': 429,
  'version-mismatch': 409,
  'host-refused': 403,
  'origin-refused': 403,
  'not-found': 404,
  'edit-conflict': 409,
  'edit-not-done': 409,
  'edit-not-over': 409,
  /** The engine died three times while running this edit, so it isn't retried. */
  'edit-crashed': 500,
  /** A result is missing or cut short on the companion's disk. */
  'result-damaged': 500,
  'queue-full': 429,
  'model-unknown': 422,
  'model-missing': 422,
  'model-file-invalid': 500,
  'adapter-unknown': 422,
  'adapter-invalid': 422,
  'provider-unavailable': 503,
  'engine-died': 500,
  'engine-hung': 500,
  /** A network computed NaN or infinity, because of its weights or its limited precision. */
  'not-finite': 500,
  'out-of-memory': 507,
  'disk-full': 507,
  /** The disk is read-only, failing, or the folder belongs to somebody else. */
  'disk-unwritable': 500,
  /** ACEPP_HOME can be changed by other users, or its token can be guessed. */
  'home-unsafe': 500,
  'config-invalid': 500,
  /** The system's own tool refused to start the companion at login. */
  'autostart-refused': 500,
  'licence-not-accepted': 403,
  /** The hub refuses to serve a file: the remedy says what it requires. */
  'hub-refused': 403,
  'hub-unreachable': 503,
  /** The hub's file differs from the published one. */
  'hub-wrong': 502,
  'install-running': 409,
  cancelled: 409,
  /** The document or layer of an edit no longer exists. */
  'document-gone': 409,
  /** The document does not support the operation, such as a selection in a mode without selections. */
  'document-refused': 422,
  /** The host program is busy with something else. */
  'host-busy': 409,
  /** The host does not let the panel reach this machine. */
  'local-access-denied': 403,
  /** A message from another process does not follow the protocol. */
  'message-invalid': 502,
  'companion-gone': 503,
  'companion-running': 409,
  'port-busy': 503,
  internal: 500,
} as const;

export type ErrorCode = keyof typeof errorStatus;

export interface ErrorParts {
  /** What is wrong, with the offending value. */
  readonly detail: string;
  /** What the user can do next. */
  readonly remedy: string;
  readonly cause?: unknown;
}

/** The one error type of the project: a stable code, what was wrong, and what to do about it. */
export class CodedError extends Error {
  override readonly name = 'CodedError';
  readonly detail: string;
  readonly remedy: string;

  constructor(
    readonly code: ErrorCode,
    parts: ErrorParts,
  ) {
    super(`${parts.detail} ${parts.remedy}`, parts.cause === undefined ? undefined : { cause: parts.cause });
    this.detail = parts.detail;
    this.remedy = parts.remedy;
  }

  /** RFC 9457 problem details: `Problem` of `shared/protocol/problem.ts`. */
  toProblem() {
    return {
      type: `urn:acepp:${this.code}`,
      title: this.code.replaceAll('-', ' '),
      status: errorStatus[this.code],
      code: this.code,
      detail: this.detail,
      remedy: this.remedy,
    };
  }

  /** The inverse of `toProblem`. */
  static fromProblem(problem: Pick<CodedError, 'code' | 'detail' | 'remedy'>): CodedError {
    return new CodedError(problem.code, { detail: problem.detail, remedy: problem.remedy });
  }

  /** Converts any thrown value to a coded error; anything else becomes `internal`. */
  static from(thrown: unknown): CodedError {
    if (thrown instanceof CodedError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new CodedError('internal', {
      detail: `Something unexpected went wrong: ${message}.`,
      remedy: "Try again. If it happens again, report it with the companion's log.",
      cause: thrown,
    });
  }
}
