import { CodedError } from './errors.ts';
import { type Given, type Intent, readIntent } from './intent/intent.ts';
import type { EditRequest, Task } from './protocol/request.ts';

interface TaskRule {
  readonly edit: 'needed' | 'none';
  readonly mask: 'needed' | 'optional' | 'none';
  readonly references: 'needed' | 'optional' | 'none';
  /** Whether an empty instruction has an obvious meaning: continue the picture, or improve it. */
  readonly mayBeSilent: boolean;
}

export const taskRules: Readonly<Record<Task, TaskRule>> = {
  'text-to-image': {
    edit: 'none',
    mask: 'none',
    references: 'none',
    mayBeSilent: false,
  },
  'reference-generation': {
    edit: 'none',
    mask: 'none',
    references: 'needed',
    mayBeSilent: false,
  },
  'local-editing': {
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: false,
  },
  inpaint: {
    edit: 'needed',
    mask: 'needed',
    references: 'optional',
    mayBeSilent: true,
  },
  // Without a mask, paints the transparent part, or what `width` and `height` add around the picture.
  outpaint: {
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: true,
  },
  'local-reference-editing': {
    edit: 'needed',
    mask: 'needed',
    references: 'needed',
    mayBeSilent: false,
  },
  'general-editing': {
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: false,
  },
  recolor: {
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: false,
  },
  'super-resolution': {
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: true,
  },
  control: {
    edit: 'needed',
    mask: 'optional',
    references: 'optional',
    mayBeSilent: false,
  },
};

export interface ResolvedTask {
  readonly task: Task;
  /** Where the task comes from: the request, the words of its instruction, or the layers sent with it. */
  readonly source: 'asked' | 'words' | 'layers';
  /** Why it was chosen, if the request left it open. */
  readonly intent?: Intent;
}

/**
 * The request's task, or the one inferred from its words and layers, after checking that everything it needs
 * is there.
 * @throws CodedError `task-needs` with what is missing or superfluous, `instruction-empty`
 */
export function resolveTask(request: Pick<EditRequest, 'task' | 'instruction'>, given: Given): ResolvedTask {
  if (request.task !== undefined) {
    demandLayers(request.task, request.instruction, given);
    return { task: request.task, source: 'asked' };
  }
  const intent = readIntent(request.instruction, given);
  demandLayers(intent.task, request.instruction, given);
  return { task: intent.task, source: intent.confidence === 'default' ? 'layers' : 'words', intent };
}

function demandLayers(task: Task, instruction: string, given: Given): void {
  const rule = taskRules[task];
  if (given.mask && !given.edit) {
    throw needs('A mask was given, but no picture to edit.', 'Add the picture as the tensor "edit".');
  }
  demand(task, rule.edit, given.edit, 'picture to edit', 'the tensor "edit"');
  demand(task, rule.mask, given.mask, 'mask', 'a mask that is white where the picture may change');
  demand(task, rule.references, given.references > 0, 'reference', 'at least one reference picture');
  if (instruction.trim() === '' && !rule.mayBeSilent) {
    throw new CodedError('instruction-empty', {
      detail: `The instruction is empty, and the task "${task}" says nothing of what should appear.`,
      remedy: 'Write what should be seen. To remove something, mask it and leave out references.',
    });
  }
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
