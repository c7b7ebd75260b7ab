/// <reference types="@shopify/ui-extensions/purchase.thank-you.block.render" />
/// <reference types="@shopify/ui-extensions/customer-account.order-status.block.render" />
import { getExtension } from '@shopify/ui-extensions-tester';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

const READY = {
  state: 'ready',
  url: 'https://m.me/1045?ref=abc',
  page: 'Harbour Coffee',
  consent_text: 'Yes, send me offers. I can write STOP.',
};

const answers = (body: unknown, status = 200) =>
  vi.fn().mockImplementation(async () => new Response(JSON.stringify(body), { status }));

const shown = (selector: string) => document.body.querySelector(selector);
const text = () => document.body.textContent;

describe.each(['purchase.thank-you.block.render', 'customer-account.order-status.block.render'] as const)(
  '%s',
  (target) => {
    const extension = getExtension(target);
    // The two surfaces differ in types; what is touched here is the same on both.
    const shopify = () => extension.shopify as unknown as Record<string, { value: unknown }> & {
      sessionToken: { get: () => Promise<string> };
      extension: { editor?: unknown };
    };

    beforeEach(() => {
      extension.setUp();
      const { sessionToken, checkoutToken, settings, localization } = shopify() as never as {
        sessionToken: { get: () => Promise<string> };
        checkoutToken: { value: unknown };
        settings: { value: unknown };
        localization: { language: { value: unknown } };
      };
      sessionToken.get = async () => 'the-token';
      checkoutToken.value = 'checkout-1';
      const left = undefined;
      settings.value = { heading: left, text: left, button: left, consent_text: left };
      localization.language.value = { isoCode: 'de-DE' };
      shopify().extension = { editor: undefined };
      const order = { id: 'gid://shopify/OrderIdentity/7' };
      if (target.startsWith('purchase')) shopify()['orderConfirmation']!.value = { order, isFirstOrder: true };
      else shopify()['order']!.value = order;
    });
    afterEach(() => extension.tearDown());

    test('the buyer is asked in full above the way to say yes', async () => {
      extension.fetch = answers(READY);
      await extension.render();
      await vi.waitFor(() => expect(shown('s-button')).not.toBeNull());
      expect(text()).toContain(READY.consent_text);
      expect(shown('s-button')!.getAttribute('href')).toBe(READY.url);
      expect(text()!.indexOf(READY.consent_text)).toBeLessThan(text()!.indexOf('button'));
      const qr = shown('s-qr-code')!;
      expect(qr.getAttribute('content')).toBe(READY.url);
      expect(qr.getAttribute('accessibilitylabel') ?? qr.getAttribute('accessibilityLabel')).toBe('qr_label');
      const wide = qr.closest('s-box')!.getAttribute('display');
      expect(wide).toContain('none');
    });

    test('the app hears which order and checkout it was, and what the merchant wants agreed to', async () => {
      extension.fetch = answers(READY);
      (shopify()['settings'] as { value: unknown }).value = {
        heading: ' Stay close ', text: 'Only good news.', button: 'Yes!', consent_text: 'I agree to all of it.',
      };
      await extension.render();
      await vi.waitFor(() => expect(shown('s-button')).not.toBeNull());
      const [url, call] = vi.mocked(extension.fetch).mock.calls[0]!;
      expect(url).toBe('https://app.example.com/extensions/opt-in');
      expect(call!.method).toBe('POST');
      expect((call!.headers as Record<string, string>)['Authorization']).toBe('Bearer the-token');
      expect(JSON.parse(call!.body as string)).toEqual({
        order_id: 'gid://shopify/OrderIdentity/7',
        checkout_token: 'checkout-1',
        consent_text: 'I agree to all of it.',
        locale: 'de-DE',
      });
      expect(shown('s-section')!.getAttribute('heading')).toBe('Stay close');
      expect(text()).toContain('Only good news.');
      expect(shown('s-button')!.textContent).toBe('Yes!');
    });

    test('while it is asked the place is kept', async () => {
      extension.fetch = vi.fn().mockImplementation(() => new Promise(() => undefined));
      await extension.render();
      expect(shown('s-skeleton-paragraph')).not.toBeNull();
    });

    test('who is subscribed already is told how to stop, and not asked again', async () => {
      extension.fetch = answers({ state: 'subscribed' });
      await extension.render();
      await vi.waitFor(() => expect(text()).toBe('subscribed'));
      expect(shown('s-button')).toBeNull();
    });

    test.each([
      ['no Page', () => answers({ state: 'none' })],
      ['a failure', () => answers({ error: 'try again' }, 500)],
      ['an unreadable answer', () => vi.fn().mockImplementation(async () => new Response('<html>'))],
      ['no connection', () => vi.fn().mockRejectedValue(new TypeError('failed'))],
      ['an address that is not Messenger', () => answers({ ...READY, url: 'https://evil.example' })],
      ['an answer without what is agreed to', () => answers({ ...READY, consent_text: '' })],
    ])('%s shows the buyer nothing', async (_, fetch) => {
      extension.fetch = fetch();
      await extension.render();
      await vi.waitFor(() => expect(document.body.innerHTML).toBe(''));
    });

    test('the merchant who places the block is told what is missing', async () => {
      shopify().extension = { editor: { type: 'checkout' } };
      extension.fetch = answers({ state: 'none' });
      await extension.render();
      await vi.waitFor(() => expect(shown('s-banner')!.textContent).toBe('editor'));
    });
  },
);
