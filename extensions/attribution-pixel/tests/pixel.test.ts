import { beforeEach, expect, test, vi } from 'vitest';

import { pixel } from '../src/pixel';

const CLICK = 'clk_01h2k3m4n5p6q';
const OTHER = 'clk_01h2k3m4n5p6r';

type Listener = (event: never) => Promise<void>;

/** A shopper's browser, as far as Shopify lets a pixel see it. */
class Browser {
  listeners = new Map<string, Listener>();
  storage = new Map<string, string>();
  beacons: { url: string; body: Record<string, unknown> }[] = [];

  constructor(consent = { analytics: true, marketing: true }) {
    const subscribe = (name: string, listener: Listener) => {
      this.listeners.set(name, listener);
      return () => true;
    };
    const api = {
      analytics: { subscribe },
      customerPrivacy: { subscribe },
      init: { customerPrivacy: privacy(consent) },
      settings: { accountID: 'ws_1', address: 'https://app.example/extensions/pixel' },
      browser: {
        localStorage: {
          getItem: async (key: string) => this.storage.get(key) ?? null,
          setItem: async (key: string, value: string) => void this.storage.set(key, value),
          removeItem: async (key: string) => void this.storage.delete(key),
        },
        sendBeacon: async (url: string, body: string) => {
          this.beacons.push({ url, body: JSON.parse(body) as Record<string, unknown> });
          return true;
        },
      },
    };
    pixel(api as never);
  }

  private happens(name: string, event: object) {
    return this.listeners.get(name)!({ name, ...event } as never);
  }

  opens(search: string) {
    const context = { document: { location: { search } } };
    return this.happens('page_viewed', { context });
  }

  buys() {
    const checkout = { token: 'checkout-1', order: { id: '4711' }, email: 'ana@example.com' };
    return this.happens('checkout_completed', { id: 'sh-1', data: { checkout } });
  }

  chooses(consent: { analytics: boolean; marketing: boolean }) {
    return this.happens('visitorConsentCollected', { customerPrivacy: privacy(consent) });
  }
}

function privacy({ analytics, marketing }: { analytics: boolean; marketing: boolean }) {
  return { analyticsProcessingAllowed: analytics, marketingAllowed: marketing };
}

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-24T10:00:00Z') });
});

test('a purchase is told with the click that the visit began with, and nothing of the person', async () => {
  const browser = new Browser();
  await browser.opens(`?utm_source=pagecast&pc_click=${CLICK}&ref=${CLICK}`);
  await browser.opens('?variant=1');
  await browser.buys();
  expect(browser.beacons).toEqual([
    {
      url: 'https://app.example/extensions/pixel',
      body: {
        account: 'ws_1',
        event: 'checkout_completed',
        event_id: 'sh-1',
        click: CLICK,
        checkout_token: 'checkout-1',
        order_id: '4711',
      },
    },
  ]);
});

test('the last click counts, under either of its names', async () => {
  const browser = new Browser();
  await browser.opens(`?pc_click=${CLICK}`);
  await browser.opens(`?ref=${OTHER}`);
  await browser.opens('?ref=friend');
  await browser.buys();
  expect(browser.beacons.map((told) => told.body['click'])).toEqual([OTHER]);
});

test('without a click of ours nothing is kept and nothing is told', async () => {
  const browser = new Browser();
  for (const search of ['', '?ref=friend', '?pc_click=clk_<script>', '?pc_click=']) {
    await browser.opens(search);
  }
  await browser.buys();
  expect(browser.storage.size).toBe(0);
  expect(browser.beacons).toEqual([]);
});

test('without consent nothing is kept and nothing is told', async () => {
  for (const consent of [
    { analytics: false, marketing: true },
    { analytics: true, marketing: false },
  ]) {
    const browser = new Browser(consent);
    await browser.opens(`?pc_click=${CLICK}`);
    await browser.buys();
    expect(browser.storage.size).toBe(0);
    expect(browser.beacons).toEqual([]);
  }
});

test('what was kept goes when consent is taken back', async () => {
  const browser = new Browser();
  await browser.opens(`?pc_click=${CLICK}`);
  await browser.chooses({ analytics: true, marketing: false });
  expect(browser.storage.size).toBe(0);
  await browser.chooses({ analytics: true, marketing: true });
  await browser.buys();
  expect(browser.beacons).toEqual([]);
});

test('a click is forgotten after thirty days, and what somebody else kept there is not taken for one', async () => {
  const browser = new Browser();
  await browser.opens(`?pc_click=${CLICK}`);
  vi.advanceTimersByTime(30 * 24 * 60 * 60 * 1_000);
  await browser.buys();
  for (const text of ['', 'x', '{}', 'null', '{"click":1,"at":2}', `{"click":"${CLICK}"}`]) {
    browser.storage.set('pagecast', text);
    await browser.buys();
  }
  expect(browser.beacons).toEqual([]);
});
