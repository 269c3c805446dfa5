/** Preloaded by Node: the clock of this process is ACEPP_TEST_CLOCK milliseconds ahead. */
const offset = Number(process.env.ACEPP_TEST_CLOCK);
const RealDate = Date;
const realNow = RealDate.now;
globalThis.Date = class extends RealDate {
  constructor(...values) {
    if (values.length === 0) super(realNow() + offset);
    else super(...values);
  }
  static now() {
    return realNow() + offset;
  }
};
