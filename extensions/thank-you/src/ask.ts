import { address } from '../address.json';

/** What there is to show to this buyer. */
export type Way =
  | { state: 'ready'; url: string; page: string; consent_text: string }
  | { state: 'subscribed' }
  | { state: 'none' };

export interface Question {
  orderId: string | undefined;
  checkoutToken: string | undefined;
  /** The merchant's own words for what is agreed to. */
  consentText: string | undefined;
  locale: string;
}

/** After this the buyer has read on; nothing is shown then. */
const PATIENCE = 8_000;

/**
 * Asks the app for the buyer's own way into Messenger. Whatever goes wrong, the answer is that
 * there is nothing to show: the page is about the order, not about us.
 */
export async function ask(token: string, question: Question): Promise<Way> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE);
  try {
    const answer = await fetch(`${address}/extensions/opt-in`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({
        order_id: question.orderId,
        checkout_token: question.checkoutToken,
        consent_text: question.consentText,
        locale: question.locale,
      }),
      signal: stop.signal,
    });
    if (!answer.ok) return { state: 'none' };
    return read(await answer.json());
  } catch {
    return { state: 'none' };
  } finally {
    clearTimeout(timer);
  }
}

/** Only what leads to Messenger is shown, whoever answered. */
function read(told: unknown): Way {
  const way = told as Partial<Extract<Way, { state: 'ready' }>> | { state: 'subscribed' } | null;
  if (way?.state === 'subscribed') return { state: 'subscribed' };
  if (way?.state !== 'ready') return { state: 'none' };
  const { url, page, consent_text } = way;
  const complete =
    typeof url === 'string' && typeof page === 'string' && typeof consent_text === 'string';
  if (!complete || !url.startsWith('https://m.me/') || consent_text === '') return { state: 'none' };
  return { state: 'ready', url, page, consent_text };
}
