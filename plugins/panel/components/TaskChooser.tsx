import type { TaskChoice } from '../models/settings.ts';
import { PlainSelect } from './PlainSelect.tsx';

export interface TaskChooserProps {
  readonly value: TaskChoice;
  readonly onChange: (task: TaskChoice) => void;
}

/** Each task in plain words: its name in the list, and what it does. */
const words: Record<TaskChoice, readonly [name: string, explanation: string]> = {
  auto: ['Choose for me', 'Decided from the mask, the references and the picture.'],
  inpaint: ['Fill or remove', 'Forgets what is under the mask and paints it anew.'],
  'local-editing': ['Redraw, keep the shape', 'Repaints under the mask and follows what was there.'],
  'local-reference-editing': ['Put the reference here', 'Brings the reference into the masked area.'],
  recolor: ['Recolour', 'Gives the masked area new colours and keeps its light.'],
  outpaint: ['Extend the picture', 'Paints on beyond the edge, under the mask.'],
  'general-editing': ['Edit by instruction', 'May change the whole picture; needs no mask.'],
  'reference-generation': [
    'New picture from references',
    'Makes a new picture with what the references show.',
  ],
  'text-to-image': ['New picture from words', 'Makes a new picture from the instruction alone.'],
  'super-resolution': ['Sharpen', 'Adds fine detail to a small or soft picture.'],
  'control:canny': [
    'Follow a line drawing',
    'The masked area shows fine edges: a picture is painted along them.',
  ],
  'control:contour': ['Follow a sketch', 'The masked area shows outlines: a picture is painted along them.'],
  'control:depth': [
    'Follow a depth map',
    'The masked area shows what is near in white and what is far in black.',
  ],
  'control:mosaic': [
    'Follow a mosaic',
    'The masked area shows large tiles of colour: a picture is painted of them.',
  ],
};

export function TaskChooser({ value, onChange }: TaskChooserProps) {
  return (
    <section class="field">
      <h2 class="field-title">Task</h2>
      <PlainSelect
        label="Task"
        value={value}
        options={Object.entries(words).map(([task, [name]]) => [task, name])}
        onChange={(task) => onChange(task as TaskChoice)}
      />
      <p class="hint">{words[value][1]}</p>
    </section>
  );
}
