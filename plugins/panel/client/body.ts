import type { EditRequest } from '../../../shared/request.ts';
import { encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import type { Capture, Picture, Reference } from '../host.ts';

/** The body of an edit request: what was captured, the references in order, and the request as JSON. */
export function encodeEdit(
  request: EditRequest,
  capture: Capture,
  references: readonly Reference[],
): Uint8Array<ArrayBuffer> {
  const tensors = new Map<string, Tensor>();
  const { edit, mask } = capture;
  if (edit) {
    tensors.set('edit', pixels(edit));
    if (mask) tensors.set('mask', { dtype: 'U8', shape: [edit.height, edit.width], data: mask });
  }
  references.forEach(({ picture }, i) => {
    tensors.set(`reference.${i}`, pixels(picture));
  });
  return encodeContainer({ metadata: { request: JSON.stringify(request) }, tensors });
}

function pixels({ width, height, data }: Picture): Tensor {
  return { dtype: 'U8', shape: [height, width, 4], data };
}
