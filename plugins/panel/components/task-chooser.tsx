import type { TaskChoice } from '../models/settings.ts';
import { PlainSelect } from './plain-select.tsx';

export interface TaskChooserProps {
  readonly value: TaskChoice;
  readonly onChange: (task: TaskChoice) => void;
}

/** Each task in plain words: its name in the list and what it does. */
const words: Record<TaskChoice, readonly [name: string, explanation: string]> = {
  auto: ['Choose for me', 'Depends on the mask, the references and the picture.'],
  inpaint: ['Fill or remove', 'Ignores what is under the mask and paints something new.'],
  'local-editing': ['Redraw, keep the shape', 'Repaints the masked area, following what was there.'],
  'local-reference-editing': ['Put the reference here', 'Brings the reference into the masked area.'],
  recolor: ['Recolour', 'Changes the colours of the masked area and keeps its light.'],
  outpaint: ['Extend the picture', 'Continues the picture beyond its edge, under the mask.'],
  'general-editing': ['Edit by instruction', 'Can change the whole picture; needs no mask.'],
  'reference-generation': [
    'New picture from references',
    'Makes a new picture from what the references show.',
  ],
  'text-to-image': ['New picture from words', 'Makes a new picture from the instruction alone.'],
  'super-resolution': ['Sharpen', 'Adds fine detail to a small or soft picture.'],
  'control:canny': ['Follow a line drawing', 'The masked area has fine edges; the new picture follows them.'],
  'control:contour': ['Follow a sketch', 'The masked area has outlines; the new picture follows them.'],
  'control:depth': [
    'Follow a depth map',
    'The masked area is white where things are near, and black where they are far.',
  ],
  'control:mosaic': [
    'Follow a mosaic',
    'The masked area has large tiles of colour, which the new picture refines.',
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
