import * as v from 'valibot';

const domain = v.pipe(
  v.string(),
  v.check((entry) => /^(https?|wss?):\/\//.test(entry), 'an entry needs a scheme'),
  v.check((entry) => !/^\w+:\/\/(\d+\.){3}\d+|^\w+:\/\/\[/.test(entry), 'raw IP addresses are not allowed'),
  v.check((entry) => !entry.endsWith(':*'), 'a port cannot be a wildcard'),
  v.check((entry) => URL.canParse(entry), 'an entry must be a URL'),
);

/** What Figma accepts as a plugin manifest: unknown keys are an error. */
export const manifestSchema = v.strictObject({
  name: v.pipe(v.string(), v.minLength(1)),
  id: v.string(),
  api: v.literal('1.0.0'),
  main: v.string(),
  ui: v.optional(v.string()),
  editorType: v.array(v.picklist(['figma', 'figjam', 'dev', 'slides', 'buzz'])),
  documentAccess: v.literal('dynamic-page'),
  permissions: v.optional(v.array(v.picklist(['currentuser', 'activeusers', 'fileusers', 'payments']))),
  networkAccess: v.pipe(
    v.strictObject({
      allowedDomains: v.array(domain),
      devAllowedDomains: v.optional(v.array(domain)),
      reasoning: v.optional(v.string()),
    }),
    v.check(
      ({ allowedDomains, reasoning }) =>
        !allowedDomains.some((entry) => entry.includes('localhost')) || !!reasoning,
      'local domains need a reasoning',
    ),
  ),
});
