import { CodedError } from './errors.ts';
import type { EditRequest, Task } from './protocol/request.ts';

/** What came with a request. */
export interface Given {
  readonly edit: boolean;
  readonly mask: boolean;
  readonly references: number;
}

interface TaskRule {
  /** How much of what is under the mask is hidden from the model: 1 hides it, 0 shows it (the paper's table of tasks). */
  readonly repaintingScale: number;
  readonly edit: 'needed' | 'none';
  readonly mask: 'needed' | 'optional' | 'none';
  readonly references: 'needed' | 'optional' | 'none';
  /** Whether an empty instruction has a plain meaning: go on with the picture, or make it better. */
  readonly mayBeSilent: boolean;
  /** Published ACE++ adapters that were trained for it, the most general first; none where FLUX.1-Fill does it by itself. */
  readonly adapters: readonly string[];
}

export const taskRules: Readonly<Record<Task, TaskRule>> = {
  'text-to-image': {
    repaintingScale: 1,
    edit: 'none',
    mask: 'none',
    references: 'none',
    mayBeSilent: false,
    adapters: [],
  },
  'reference-generation': {
    repaintingScale: 1,
    edit: 'none',
    mask: 'none',
    references: 'needed',
    mayBeSilent: false,
    adapters: ['subject', 'portrait'],
  },
  'local-editing': {
    repaintingScale: 0.5,
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: false,
    adapters: ['local-editing'],
  },
  inpaint: {
    repaintingScale: 1,
    edit: 'needed',
    mask: 'needed',
    references: 'optional',
    mayBeSilent: true,
    adapters: [],
  },
  // Without a mask it is the transparent part, or what `width` and `height` add around the picture.
  outpaint: {
    repaintingScale: 1,
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: true,
    adapters: [],
  },
  'local-reference-editing': {
    repaintingScale: 1,
    edit: 'needed',
    mask: 'needed',
    references: 'needed',
    mayBeSilent: false,
    adapters: ['subject', 'portrait'],
  },
  'general-editing': {
    repaintingScale: 0,
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: false,
    adapters: [],
  },
  recolor: {
    repaintingScale: 0,
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: false,
    adapters: ['local-editing'],
  },
  'super-resolution': {
    repaintingScale: 0,
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: true,
    adapters: [],
  },
  control: {
    repaintingScale: 0,
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: false,
    adapters: ['local-editing'],
  },
};

/** The task that what is given asks for: references over no references, a mask over the whole picture. */
export function chooseTask(given: Given): Task {
  if (!given.edit) return given.references > 0 ? 'reference-generation' : 'text-to-image';
  if (!given.mask) return 'general-editing';
  return given.references > 0 ? 'local-reference-editing' : 'inpaint';
}

/**
 * The adapters of a task, at their full strength, where a request leaves them to the companion: the first that is there.
 * @param known names of the adapters that lie beside the model
 */
export function chooseAdapters(task: Task, known: readonly string[]): { name: string; scale: number }[] {
  const name = taskRules[task].adapters.find((adapter) => known.includes(adapter));
  return name === undefined ? [] : [{ name, scale: 1 }];
}

/**
 * The request's task, or the one chosen for it, with everything there that it needs.
 * @throws CodedError `task-needs` with what is missing or too much, `instruction-empty`
 */
export function resolveTask(request: Pick<EditRequest, 'task' | 'instruction'>, given: Given): Task {
  const task = request.task ?? chooseTask(given);
  const rule = taskRules[task];
  if (given.mask && !given.edit) {
    throw needs('A mask was given, but no picture to edit.', 'Add the picture as the tensor "edit".');
  }
  demand(task, rule.edit, given.edit, 'picture to edit', 'the tensor "edit"');
  demand(task, rule.mask, given.mask, 'mask', 'a mask that is white where the picture may change');
  demand(task, rule.references, given.references > 0, 'reference', 'at least one reference picture');
  if (request.instruction.trim() === '' && !rule.mayBeSilent) {
    throw new CodedError('instruction-empty', {
      detail: `The instruction is empty, and the task "${task}" says nothing of what should appear.`,
      remedy: 'Write what should be seen. To remove something, mask it and leave out references.',
    });
  }
  return task;
}

function demand(
  task: Task,
  rule: 'needed' | 'optional' | 'none',
  isGiven: boolean,
  what: string,
  remedy: string,
) {
  if (rule === 'needed' && !isGiven) {
    throw needs(`The task "${task}" needs a ${what}, and none was given.`, `Add ${remedy}.`);
  }
  if (rule === 'none' && isGiven) {
    throw needs(
      `The task "${task}" takes no ${what}, but one was given.`,
      `Leave the ${what} out, or choose another task, or none: then it is chosen from what is given.`,
    );
  }
}

function needs(detail: string, remedy: string): CodedError {
  return new CodedError('task-needs', { detail, remedy });
}
