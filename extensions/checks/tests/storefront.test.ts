import { readFileSync } from 'node:fs';

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

const SCRIPT = readFileSync('extensions/storefront/assets/pagecast.js', 'utf8');
const FOUND = { url: 'https://m.me/1045?ref=abc', consent_text: 'Yes, send me offers. STOP ends it.' };

interface Rules {
  form?: string;
  when?: string;
  delay?: string;
  scroll?: string;
  snooze?: string;
  'signed-in'?: string;
  editor?: string;
}

/** A page as the theme renders our embed or block into it, and what the shop's proxy answers. */
function page(rules: Rules = {}, answers: Record<string, unknown> = {}, search = '') {
  const all = {
    form: 'slide', when: 'delay', delay: '15', scroll: '50', snooze: '30', locale: 'de',
    'signed-in': 'false', editor: 'false', ...rules,
  };
  const data = Object.entries(all).map(([name, value]) => `data-${name}="${value}"`).join(' ');
  const tag = all.form === 'popup' ? 'dialog' : 'section';
  document.body.innerHTML = `
    <main><button id="shop">Shop</button></main>
    <${tag} id="embed" data-pagecast="embed" ${data} ${tag === 'section' ? 'hidden' : ''}>
      <p data-pagecast-consent></p><a data-pagecast-link>Yes</a>
      <button data-pagecast-no>No thanks</button><button data-pagecast-no>x</button>
    </${tag}>
    <div id="block" data-pagecast="block" data-locale="de" data-editor="${all.editor}">
      <a data-pagecast-link>Yes</a><p data-pagecast-consent></p>
      <p data-pagecast-hint hidden>Nothing yet</p>
    </div>`;
  window.history.replaceState(null, '', `/${search}`);
  const told = { config: { version: 1, opt_in: FOUND }, me: { subscribed: false }, ...answers };
  const fetch = vi.fn(async (url: string) => {
    const name = /^\/apps\/pagecast\/(\w+)/.exec(url)![1] as keyof typeof told;
    if (told[name] instanceof Error) throw told[name];
    return new Response(JSON.stringify(told[name]));
  });
  vi.stubGlobal('fetch', fetch);
  // jsdom cannot leave the page.
  document.querySelectorAll('a').forEach((link) => link.addEventListener('click', (event) => event.preventDefault()));
  delete (window as { pagecastLoaded?: boolean }).pagecastLoaded;
  new Function(SCRIPT)();
  return { fetch, embed: document.getElementById('embed')!, block: document.getElementById('block')! };
}

const seconds = (n: number) => vi.advanceTimersByTimeAsync(n * 1_000);
const press = (key: string, on: Element) =>
  on.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));

beforeEach(() => {
  vi.useFakeTimers({ now: new Date('2026-11-24T10:00:00Z') });
  localStorage.clear();
  sessionStorage.clear();
  // jsdom does not open dialogs.
  HTMLDialogElement.prototype.showModal = vi.fn(function (this: HTMLDialogElement) {
    this.setAttribute('open', '');
  });
  HTMLDialogElement.prototype.close = vi.fn(function (this: HTMLDialogElement) {
    this.removeAttribute('open');
  });
});
afterEach(() => vi.unstubAllGlobals());

test('a slide-in asks after a while, in the shop\'s language, and takes no focus', async () => {
  const { embed, fetch } = page();
  document.getElementById('shop')!.focus();
  await seconds(14);
  expect(embed.hidden).toBe(true);
  await seconds(1);
  expect(embed.hidden).toBe(false);
  expect(fetch.mock.calls.map(([url]) => url)).toEqual(['/apps/pagecast/config?locale=de']);
  expect(embed.querySelector('[data-pagecast-consent]')!.textContent).toBe(FOUND.consent_text);
  expect(embed.querySelector('a')!.href).toBe(FOUND.url);
  expect(document.activeElement!.id).toBe('shop');
});

test('after "no thanks" it rests for the days that the merchant chose', async () => {
  let { embed } = page();
  await seconds(15);
  embed.querySelector('button')!.click();
  expect(embed.hidden).toBe(true);
  for (const [days, asks] of [[29, false], [1, true]] as const) {
    vi.advanceTimersByTime(days * 24 * 60 * 60 * 1_000);
    sessionStorage.clear();
    ({ embed } = page());
    await seconds(15);
    expect(embed.hidden).toBe(!asks);
  }
});

test('Escape is a "no thanks" too', async () => {
  const { embed } = page();
  await seconds(15);
  press('Enter', embed);
  expect(embed.hidden).toBe(false);
  press('Escape', embed.querySelector('a')!);
  expect(embed.hidden).toBe(true);
  expect(JSON.parse(localStorage.getItem('pagecast-answer')!)).toHaveProperty('no');
});

test('it asks once a visit, even if nobody answered', async () => {
  page();
  await seconds(15);
  const { embed } = page();
  await seconds(60);
  expect(embed.hidden).toBe(true);
});

test('who signed up is not asked again', async () => {
  let { embed } = page();
  await seconds(15);
  embed.querySelector('a')!.click();
  expect(embed.hidden).toBe(true);
  vi.advanceTimersByTime(400 * 24 * 60 * 60 * 1_000);
  sessionStorage.clear();
  ({ embed } = page());
  await seconds(60);
  expect(embed.hidden).toBe(true);
});

test.each(['?utm_source=pagecast', '?pc_click=clk_01h2k3m4n5p6q'])(
  'who comes from one of our messages (%s) is not asked',
  async (search) => {
    const { embed } = page({}, {}, search);
    await seconds(60);
    expect(embed.hidden).toBe(true);
  },
);

test('who is signed in and subscribed is not asked, who is not signed in is not asked about', async () => {
  const known = page({ 'signed-in': 'true' }, { me: { subscribed: true } });
  await seconds(60);
  expect(known.embed.hidden).toBe(true);
  localStorage.clear();
  const open = page({ 'signed-in': 'true' }, { me: new TypeError('failed') });
  await seconds(15);
  expect(open.embed.hidden).toBe(false);
  sessionStorage.clear();
  const { fetch } = page();
  await seconds(15);
  expect(fetch).toHaveBeenCalledTimes(1);
});

test('a pop-up is modal, and Escape or a click beside it closes it for a while', async () => {
  for (const closes of [
    (embed: HTMLElement) => embed.dispatchEvent(new Event('cancel')),
    (embed: HTMLElement) => embed.click(),
  ]) {
    localStorage.clear();
    sessionStorage.clear();
    const { embed } = page({ form: 'popup' });
    await seconds(15);
    expect(HTMLDialogElement.prototype.showModal).toHaveBeenCalled();
    expect(embed.hasAttribute('open')).toBe(true);
    closes(embed);
    expect(embed.hasAttribute('open')).toBe(false);
    expect(JSON.parse(localStorage.getItem('pagecast-answer')!)).toHaveProperty('no');
  }
});

test('after scrolling means a part of the page', async () => {
  const { embed } = page({ when: 'scroll' });
  const height = (whole: number, y: number) => {
    Object.defineProperty(document.documentElement, 'scrollHeight', { value: whole, configurable: true });
    Object.defineProperty(document.documentElement, 'clientHeight', { value: 100, configurable: true });
    Object.defineProperty(window, 'scrollY', { value: y, configurable: true });
  };
  height(1_100, 0);
  await seconds(1);
  height(1_100, 400);
  window.dispatchEvent(new Event('scroll'));
  await seconds(1);
  expect(embed.hidden).toBe(true);
  height(1_100, 500);
  window.dispatchEvent(new Event('scroll'));
  await seconds(0);
  expect(embed.hidden).toBe(false);
});

test('when leaving means the pointer, and where there is none a while', async () => {
  vi.stubGlobal('matchMedia', () => ({ matches: true }));
  let { embed } = page({ when: 'exit' });
  await seconds(60);
  document.dispatchEvent(new MouseEvent('mouseout', { clientY: 50 }));
  await seconds(0);
  expect(embed.hidden).toBe(true);
  document.dispatchEvent(new MouseEvent('mouseout', { clientY: -1 }));
  await seconds(0);
  expect(embed.hidden).toBe(false);
  sessionStorage.clear();
  vi.stubGlobal('matchMedia', () => ({ matches: false }));
  ({ embed } = page({ when: 'exit' }));
  await seconds(15);
  expect(embed.hidden).toBe(false);
});

test.each([
  ['no Page', { version: 1, opt_in: null }],
  ['no connection', new TypeError('failed')],
  ['an address that is not Messenger', { opt_in: { ...FOUND, url: 'https://evil.example' } }],
  ['nothing to agree to', { opt_in: { ...FOUND, consent_text: '' } }],
])('with %s nothing is shown', async (_, config) => {
  const { embed, block } = page({}, { config });
  await seconds(60);
  expect(embed.hidden).toBe(true);
  expect(block.className).toBe('');
  expect(block.querySelector('a')!.hasAttribute('href')).toBe(false);
});

test('a block shows its button at once, and the merchant what is missing', async () => {
  const { block } = page();
  await seconds(0);
  expect(block.className).toBe('pagecast-block--ready');
  expect(block.querySelector('a')!.href).toBe(FOUND.url);
  const missing = page({ editor: 'true' }, { config: { opt_in: null } });
  await seconds(0);
  expect(missing.block.querySelector<HTMLElement>('[data-pagecast-hint]')!.hidden).toBe(false);
});

test('in the theme editor it is shown at once and every time', async () => {
  localStorage.setItem('pagecast-answer', '{"done":1}');
  const { embed } = page({ editor: 'true' });
  await seconds(0);
  expect(embed.hidden).toBe(false);
});

test('words from outside are text, never markup', async () => {
  const consent_text = '<img src=x onerror=alert(1)>';
  const { embed } = page({}, { config: { opt_in: { ...FOUND, consent_text } } });
  await seconds(15);
  expect(embed.querySelector('img')).toBeNull();
  expect(embed.querySelector('[data-pagecast-consent]')!.textContent).toBe(consent_text);
});

/** A product page with the block, one variant sold out; what the proxy was asked. */
function product(chosen: string, answer: unknown = { opt_in: FOUND }) {
  document.body.innerHTML = `
    <form action="/de/cart/add"><input name="id" value="${chosen}"></form>
    <div id="stock" data-pagecast="stock" data-sold-out="2,3" data-variant="1" data-locale="de"
      class="pagecast-block"><a data-pagecast-link>Tell me</a><p data-pagecast-consent></p></div>`;
  const fetch = vi.fn<(url: string) => Promise<Response>>(async () => new Response(JSON.stringify(answer)));
  vi.stubGlobal('fetch', fetch);
  delete (window as { pagecastLoaded?: boolean }).pagecastLoaded;
  new Function(SCRIPT)();
  const field = document.querySelector('input')!;
  const chooses = async (variant: string) => {
    field.dispatchEvent(new Event('change', { bubbles: true }));
    field.value = variant;
    await seconds(0);
  };
  return { fetch, chooses, stock: document.getElementById('stock')! };
}

test('what is sold out can be asked for, what can be bought cannot', async () => {
  const { stock, chooses, fetch } = product('1');
  await seconds(0);
  expect(stock.className).toBe('pagecast-block pagecast-block--none');
  expect(fetch).not.toHaveBeenCalled();
  await chooses('2');
  expect(stock.className).toBe('pagecast-block pagecast-block--ready');
  expect(fetch.mock.calls.map(([url]) => url)).toEqual(['/apps/pagecast/stock?variant=2&locale=de']);
  expect(stock.querySelector('a')!.href).toBe(FOUND.url);
  expect(stock.querySelector('p')!.textContent).toBe(FOUND.consent_text);
  await chooses('1');
  expect(stock.className).toBe('pagecast-block pagecast-block--none');
});

test('where nobody would be told nothing is offered', async () => {
  const { stock } = product('3', { opt_in: null });
  await seconds(0);
  expect(stock.className).toBe('pagecast-block');
  expect(stock.querySelector('a')!.hasAttribute('href')).toBe(false);
});
