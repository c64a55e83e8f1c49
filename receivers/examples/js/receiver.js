// Access tokens as the files that `curl --header @FILE` reads, one for each instance.
import { put } from 'delegation:tokens/outputs@0.2.0';
import { bearer, described, fail, guarded, read } from '../../../kit/js/kit.js';

export const receiver = guarded({
  kinds() {
    return [bearer.kind];
  },
  check(settings, bound) {
    read(settings, [], []);
    for (const { instance, kinds } of bound) {
      if (kinds.length > 0 && !kinds.includes(bearer.kind)) fail('misconfigured', `${instance} obtains no ${bearer.kind}`);
    }
  },
  accept(settings, deliveries) {
    const rejected = [];
    for (const { instance, payload } of deliveries) {
      // A line break would start another header.
      if (payload.length === 0 || !payload.every((byte) => byte > 0x20 && byte < 0x7f)) {
        rejected.push({ instance, failure: { next: 'denied', message: 'the payload is not one word', facts: [] } });
        continue;
      }
      const token = new TextDecoder().decode(payload);
      put(`${instance}.header`, new TextEncoder().encode(`Authorization: Bearer ${token}\n`));
    }
    return { rejected, facts: [] };
  },
});

export const description = described({ title: 'Access tokens as headers for curl' }, {}, (settings) => {
  read(settings, [], []);
  return [];
});
