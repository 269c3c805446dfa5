import { computed, signal } from '@preact/signals';
import { CodedError } from '../../../shared/errors.ts';
import {
  type Control,
  type EditRequest,
  maxReferences,
  type Task,
} from '../../../shared/protocol/request.ts';
import type { Host, Reference } from '../host.ts';

/** The chosen task; `auto` leaves it to the companion. */
export type TaskChoice = 'auto' | Exclude<Task, 'control'> | `control:${Control}`;

/** Anything empty is left to the companion. */
export interface AdvancedSettings {
  readonly model?: string | undefined;
  /** One of the model's adapters; `none` for the model alone. */
  readonly adapter?: string | undefined;
  readonly seed: number | undefined;
  readonly steps: number | undefined;
  readonly guidance: number | undefined;
  readonly variants: number;
}

const instructionKey = 'instruction';
const modelKey = 'model';
/** The choice that isn't the name of an adapter. */
export const noAdapter = 'none';

/** What the person asks for: instruction, task, references and numbers. */
export function createSettings(host: Host) {
  const instruction = signal('');
  const task = signal<TaskChoice>('auto');
  const references = signal<readonly Reference[]>([]);
  const advanced = signal<AdvancedSettings>({
    seed: undefined,
    steps: undefined,
    guidance: undefined,
    variants: 1,
  });
  const room = computed(() => maxReferences - references.value.length);

  return {
    instruction,
    task,
    references,
    advanced,
    /** How many more references can be added. */
    room,

    write(text: string): void {
      instruction.value = text;
      void host.storage.set(instructionKey, text);
    },

    /** Restores the last session's instruction and model, unless they have been changed meanwhile. */
    async restore(): Promise<void> {
      const text = await host.storage.get(instructionKey);
      if (text !== undefined && instruction.value === '') instruction.value = text;
      const model = await host.storage.get(modelKey);
      if (model && advanced.value.model === undefined) advanced.value = { ...advanced.value, model };
    },

    /** Another model has other adapters, so changing the model resets the adapter. */
    adjust(settings: AdvancedSettings): void {
      const isOther = settings.model !== advanced.value.model;
      advanced.value = isOther ? { ...settings, adapter: undefined } : settings;
      if (isOther) void host.storage.set(modelKey, settings.model ?? '');
    },

    /** @throws CodedError `too-large` if they don't all fit; as many as fit are added */
    addReferences(added: readonly Reference[]): void {
      const fitting = added.slice(0, room.value);
      references.value = [...references.value, ...fitting];
      if (fitting.length < added.length) {
        throw new CodedError('too-large', {
          detail: `${added.length - fitting.length} of the pictures were not added: ${maxReferences} references are the most.`,
          remedy: 'Remove a reference first.',
        });
      }
    },

    removeReference(id: string): void {
      references.value = references.value.filter((reference) => reference.id !== id);
    },

    /** Moves a reference up (-1) or down (+1) in the list. */
    moveReference(id: string, by: -1 | 1): void {
      const list = [...references.value];
      const from = list.findIndex((reference) => reference.id === id);
      const to = from + by;
      if (from < 0 || to < 0 || to >= list.length) return;
      [list[from], list[to]] = [list[to]!, list[from]!];
      references.value = list;
    },

    /** Loads everything from an earlier request except its references. */
    use(request: EditRequest): void {
      instruction.value = request.instruction;
      void host.storage.set(instructionKey, request.instruction);
      task.value = choiceOf(request);
      advanced.value = {
        model: request.model,
        adapter: request.adapters && (request.adapters[0]?.name ?? noAdapter),
        seed: request.seed,
        steps: request.steps,
        guidance: request.guidance,
        variants: request.variants ?? 1,
      };
    },

    /** The request as it stands; `seed` overrides the one in the settings. */
    toRequest(seed?: number): EditRequest {
      const numbers = advanced.value;
      const [name, control] = task.value.split(':') as [Task | 'auto', Control | undefined];
      const chosenSeed = seed ?? numbers.seed;
      return {
        version: 1,
        instruction: instruction.value.trim(),
        preview: true,
        ...(name === 'auto' ? {} : { task: name }),
        ...(control ? { control } : {}),
        ...(numbers.model === undefined ? {} : { model: numbers.model }),
        ...(numbers.adapter === undefined ? {} : { adapters: adaptersOf(numbers.adapter) }),
        ...(chosenSeed === undefined ? {} : { seed: chosenSeed }),
        ...(numbers.steps === undefined ? {} : { steps: numbers.steps }),
        ...(numbers.guidance === undefined ? {} : { guidance: numbers.guidance }),
        ...(numbers.variants === 1 ? {} : { variants: numbers.variants }),
      };
    },
  };
}

export type Settings = ReturnType<typeof createSettings>;

function choiceOf({ task, control }: Pick<EditRequest, 'task' | 'control'>): TaskChoice {
  if (task !== 'control') return task ?? 'auto';
  return control ? `control:${control}` : 'auto';
}

function adaptersOf(choice: string): { name: string; scale: number }[] {
  return choice === noAdapter ? [] : [{ name: choice, scale: 1 }];
}
