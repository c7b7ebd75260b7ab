import type { ExtensionApi } from '@shopify/web-pixels-extension';

const KEY = 'pagecast';
/** No order is owed to an older click, whatever window the merchant chose. */
const KEPT_FOR = 30 * 24 * 60 * 60 * 1_000;
/** How the app writes the id of a click. */
const CLICK = /^clk_[0-9a-hjkmnp-tv-z]{13}$/;

type Api = Pick<ExtensionApi, 'analytics' | 'browser' | 'customerPrivacy' | 'init' | 'settings'>;
type Consent = Api['init']['customerPrivacy'];

/**
 * Remembers the click that a visit began with, and tells the app when a checkout is completed.
 * Nothing else is read, kept or sent, and nothing at all without the shopper's consent: Shopify
 * loads the pixel only with it, and what was kept is thrown away when it is taken back.
 */
export function pixel({ analytics, browser, customerPrivacy, init, settings }: Api): void {
  let isAllowed = allows(init.customerPrivacy);

  customerPrivacy.subscribe('visitorConsentCollected', async (event) => {
    isAllowed = allows(event.customerPrivacy);
    if (!isAllowed) await browser.localStorage.removeItem(KEY);
  });

  analytics.subscribe('page_viewed', async (event) => {
    const click = clickIn(event.context.document.location.search);
    if (!isAllowed || click === undefined) return;
    await browser.localStorage.setItem(KEY, JSON.stringify({ click, at: Date.now() }));
  });

  analytics.subscribe('checkout_completed', async (event) => {
    if (!isAllowed) return;
    const click = kept(await browser.localStorage.getItem(KEY), Date.now());
    if (click === undefined) return;
    const { order, token } = event.data.checkout;
    const told = {
      account: settings['accountID'],
      event: event.name,
      event_id: event.id,
      click,
      checkout_token: token,
      order_id: order?.id,
    };
    await browser.sendBeacon(String(settings['address']), JSON.stringify(told));
  });
}

function allows(consent: Consent): boolean {
  return consent.analyticsProcessingAllowed && consent.marketingAllowed;
}

/** Our links carry the click twice, because shops pass on one name or the other. */
function clickIn(search: string): string | undefined {
  const given = new URLSearchParams(search);
  const named = [...given.getAll('pc_click'), ...given.getAll('ref')];
  return named.find((click) => CLICK.test(click));
}

function kept(text: string | null, now: number): string | undefined {
  try {
    const { click, at } = JSON.parse(text ?? '{}') as { click?: unknown; at?: unknown };
    const isOurs = typeof click === 'string' && CLICK.test(click);
    return isOurs && typeof at === 'number' && now - at < KEPT_FOR ? click : undefined;
  } catch {
    return undefined;
  }
}
