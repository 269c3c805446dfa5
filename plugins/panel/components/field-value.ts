/** The value of the field that fired an event. The one cast: DOM types don't know an event's element. */
export function fieldValue({ target }: Event): string {
  return (target as HTMLInputElement | null)?.value ?? '';
}
