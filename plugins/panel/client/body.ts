import type { EditRequest } from '../../../shared/protocol/request.ts';
import { bytesOf, encodeContainer, type Tensor } from '../../../shared/safetensors.ts';
import type { Capture, Pixels, Reference } from '../host.ts';

/** The body of an edit request: the captured pixels, the references in order, and the request as JSON. */
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
    if ('encoding' in picture) {
      const { encoding, bytes } = picture;
      tensors.set(`reference.${i}.${encoding}`, { dtype: 'U8', shape: [bytes.length], data: bytes });
    } else {
      tensors.set(`reference.${i}`, pixels(picture));
    }
  });
  return encodeContainer({ metadata: { request: JSON.stringify(request) }, tensors });
}

function pixels({ width, height, data }: Pixels): Tensor {
  const dtype = data instanceof Uint16Array ? 'U16' : 'U8';
  return { dtype, shape: [height, width, 4], data: bytesOf(data) };
}
