/** Where a picture lies in the result when outpainting without a mask. */
import type { Bounds, Size } from '../../shared/bounds.ts';
import { CodedError } from '../../shared/errors.ts';
import { refuseLarge } from '../../shared/limits.ts';
import type { EditRequest } from '../../shared/protocol/request.ts';

export interface ExtendedSize extends Size {
  /** Left edge of the picture in it. */
  readonly left: number;
  readonly top: number;
}

/**
 * The size that a request extends a picture to, with the picture in the middle.
 * @throws CodedError `too-large`
 */
export function extendedSize(picture: Size, asked: Pick<EditRequest, 'width' | 'height'>): ExtendedSize {
  const width = Math.max(picture.width, asked.width ?? 0);
  const height = Math.max(picture.height, asked.height ?? 0);
  refuseLarge({ width, height }, 'picture with what outpainting adds');
  return {
    width,
    height,
    left: Math.floor((width - picture.width) / 2),
    top: Math.floor((height - picture.height) / 2),
  };
}

/**
 * The region to paint in the extended picture: everything around the picture, and its transparent part.
 * @throws CodedError `task-needs` if that is empty
 */
export function paintedAround(picture: Size, extended: ExtendedSize, transparent?: Bounds): Bounds {
  const { width, height, left, top } = extended;
  const right = left + picture.width;
  const bottom = top + picture.height;
  const areas: Bounds[] = [
    { left: 0, top: 0, width, height: top },
    { left: 0, top: bottom, width, height: height - bottom },
    { left: 0, top: 0, width: left, height },
    { left: right, top: 0, width: width - right, height },
    ...(transparent ? [{ ...transparent, left: transparent.left + left, top: transparent.top + top }] : []),
  ].filter((area) => area.width > 0 && area.height > 0);
  if (areas.length === 0) throw nothingToPaint(picture);
  const from = { left: Math.min(...areas.map((a) => a.left)), top: Math.min(...areas.map((a) => a.top)) };
  return {
    ...from,
    width: Math.max(...areas.map((a) => a.left + a.width)) - from.left,
    height: Math.max(...areas.map((a) => a.top + a.height)) - from.top,
  };
}

export function nothingToPaint({ width, height }: Size): CodedError {
  return new CodedError('task-needs', {
    detail: `The picture of ${width} x ${height} pixels has nothing around it to paint.`,
    remedy: 'Add a mask, make the part to be painted transparent, or ask for a larger "width" and "height".',
  });
}
