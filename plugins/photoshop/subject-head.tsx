import { on } from '../panel/components/on.ts';
import { PlainSelect } from '../panel/components/plain-select.tsx';
import type { Source } from './capture.ts';
import type { MaskSource } from './read-mask.ts';
import type { Subject } from './subject.ts';

export interface SubjectHeadProps {
  readonly subject: Subject;
  readonly source: Source;
  readonly mask: MaskSource;
  readonly onSource: (source: Source) => void;
  readonly onMask: (mask: MaskSource) => void;
}

const sources = { composite: 'What I see', layer: 'Selected layer' } as const;

/** What is edited and its size, which layers it comes from, and what its mask is. */
export function SubjectHead({ subject, source, mask, onSource, onMask }: SubjectHeadProps) {
  const { title, detail, channels, isQuickMask } = subject;
  const masks = [
    ['selection', 'Selection'],
    ['layer-mask', 'This layer’s mask'],
    ...channels.map((name) => [`channel:${name}`, name] as const),
  ] as const;
  return (
    <section class="subject" aria-label="What is edited">
      <p class="subject-words">
        <span class="subject-title">{title}</span>
        {detail !== '' && <span class="subject-detail">{detail}</span>}
      </p>
      <div class="choices">
        {Object.entries(sources).map(([one, name]) => (
          <button
            key={one}
            class={one === source ? 'choice pressed' : 'choice'}
            type="button"
            aria-pressed={one === source}
            {...on({ click: () => onSource(one as Source) })}
          >
            {name}
          </button>
        ))}
      </div>
      <div class="number-row">
        <span class="number-name">Mask</span>
        {isQuickMask ? (
          <span class="subject-detail">Quick mask</span>
        ) : (
          <PlainSelect
            label="Mask"
            value={mask}
            options={masks.some(([one]) => one === mask) ? masks : [...masks, [mask, 'not in this document']]}
            onChange={onMask}
          />
        )}
      </div>
    </section>
  );
}
