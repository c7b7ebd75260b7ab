/* Pagecast in the storefront: asks whether somebody wants to hear from the store on Messenger. */
(() => {
  if (window.pagecastLoaded) return;
  window.pagecastLoaded = true;

  const PROXY = '/apps/pagecast';
  const DAY = 24 * 60 * 60 * 1000;
  const ANSWER = 'pagecast-answer';
  const SHOWN = 'pagecast-shown';

  /* Storage may be closed to us; then it is as if nothing was ever kept. */
  const kept = (storage, key) => {
    try {
      return JSON.parse(window[storage].getItem(key)) || {};
    } catch {
      return {};
    }
  };
  const keep = (storage, key, value) => {
    try {
      window[storage].setItem(key, JSON.stringify(value));
    } catch {
      /* asked again next time */
    }
  };

  const ask = async (path) => {
    const answer = await fetch(`${PROXY}/${path}`, { headers: { Accept: 'application/json' } });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.json();
  };

  /* The same for everybody, so it is asked for once a page. Nothing but Messenger is opened. */
  const find = (path) =>
    ask(path)
      .then(({ opt_in: found }) =>
        found && String(found.url).startsWith('https://m.me/') && found.consent_text ? found : null,
      )
      .catch(() => null);
  let way;
  const wayIn = (locale) => {
    way ||= find(`config?locale=${encodeURIComponent(locale)}`);
    return way;
  };

  const isDone = () => Boolean(kept('localStorage', ANSWER).done);
  const isSnoozed = (days) => Date.now() - (kept('localStorage', ANSWER).no || 0) < days * DAY;
  const done = () => keep('localStorage', ANSWER, { done: Date.now() });
  const snooze = () => isDone() || keep('localStorage', ANSWER, { no: Date.now() });

  /* Who comes from one of our messages gets them already. */
  const came = new URLSearchParams(window.location.search);
  if (came.get('utm_source') === 'pagecast' || /^clk_/.test(came.get('pc_click') || '')) done();

  const isSubscribed = async (isSignedIn) => {
    if (isDone()) return true;
    if (!isSignedIn) return false;
    const { subscribed } = await ask('me').catch(() => ({}));
    if (subscribed) done();
    return Boolean(subscribed);
  };

  const fill = (root, found) => {
    root.querySelectorAll('[data-pagecast-consent]').forEach((place) => {
      place.textContent = found.consent_text;
    });
    root.querySelectorAll('[data-pagecast-link]').forEach((link) => {
      link.href = found.url;
      link.addEventListener('click', done);
    });
  };

  const moment = (rules) =>
    new Promise((resolve) => {
      const later = () => setTimeout(resolve, Number(rules.delay) * 1000);
      if (rules.when === 'scroll') {
        const look = () => {
          const { scrollHeight, clientHeight } = document.documentElement;
          const whole = scrollHeight - clientHeight;
          const part = whole > 0 ? (window.scrollY / whole) * 100 : 100;
          if (part < Number(rules.scroll)) return;
          window.removeEventListener('scroll', look);
          resolve();
        };
        window.addEventListener('scroll', look, { passive: true });
        look();
      } else if (rules.when === 'exit' && window.matchMedia('(hover: hover)').matches) {
        const look = (event) => {
          if (event.clientY > 0 || event.relatedTarget) return;
          document.removeEventListener('mouseout', look);
          resolve();
        };
        document.addEventListener('mouseout', look);
      } else {
        later();
      }
    });

  const embed = async (root) => {
    const rules = root.dataset;
    const inEditor = rules.editor === 'true';
    const found = await wayIn(rules.locale);
    if (!found) return;
    if (!inEditor) {
      if (isSnoozed(Number(rules.snooze)) || kept('sessionStorage', SHOWN).at) return;
      if (await isSubscribed(rules.signedIn === 'true')) return;
      await moment(rules);
      /* Another tab may have been answered meanwhile. */
      if (isDone() || isSnoozed(Number(rules.snooze))) return;
    }
    fill(root, found);
    keep('sessionStorage', SHOWN, { at: Date.now() });

    const isModal = rules.form === 'popup' && typeof root.showModal === 'function';
    const close = () => {
      if (isModal) root.close();
      root.hidden = true;
    };
    const no = () => {
      if (!inEditor) snooze();
      close();
    };
    root.querySelectorAll('[data-pagecast-no]').forEach((button) => {
      button.addEventListener('click', no);
    });
    root.querySelectorAll('[data-pagecast-link]').forEach((link) => {
      link.addEventListener('click', close);
    });
    root.addEventListener('cancel', no);
    root.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !isModal) no();
    });
    root.addEventListener('click', (event) => {
      if (isModal && event.target === root) no();
    });
    root.hidden = false;
    /* A pop-up takes the focus and gives it back; the others leave it where it is. */
    if (isModal && !inEditor) root.showModal();
    else if (rules.form === 'popup') root.setAttribute('open', '');
  };

  const block = async (root) => {
    const found = await wayIn(root.dataset.locale);
    if (found) {
      fill(root, found);
      root.classList.add('pagecast-block--ready');
    } else if (root.dataset.editor === 'true') {
      root.querySelectorAll('[data-pagecast-hint]').forEach((hint) => {
        hint.hidden = false;
      });
    }
  };

  /* "Tell me when it is back", for the variant that is chosen, while it is sold out. */
  const stock = (root) => {
    const soldOut = root.dataset.soldOut.split(',');
    let chosen;
    const look = async () => {
      const field = document.querySelector('form[action*="/cart/add"] [name="id"]');
      const variant = (field && field.value) || root.dataset.variant;
      if (variant === chosen) return;
      chosen = variant;
      const isOut = soldOut.includes(variant);
      root.classList.remove('pagecast-block--ready');
      root.classList.toggle('pagecast-block--none', !isOut);
      if (!isOut) return;
      const locale = encodeURIComponent(root.dataset.locale);
      const found = await find(`stock?variant=${encodeURIComponent(variant)}&locale=${locale}`);
      if (chosen !== variant) return;
      if (found) {
        fill(root, found);
        root.classList.add('pagecast-block--ready');
      }
      root.querySelectorAll('[data-pagecast-hint]').forEach((hint) => {
        hint.hidden = Boolean(found);
      });
    };
    /* Themes write the chosen variant into the form after the event. */
    document.addEventListener('change', () => setTimeout(look));
    look();
  };

  const start = (within) => {
    within.querySelectorAll('[data-pagecast]:not([data-pagecast-started])').forEach((root) => {
      root.setAttribute('data-pagecast-started', '');
      ({ embed, block, stock })[root.dataset.pagecast](root);
    });
  };
  /* The theme editor exchanges sections under a page that stays. */
  document.addEventListener('shopify:section:load', (event) => start(event.target));
  if (document.readyState === 'loading') {
    document.addEventListener('DOMContentLoaded', () => start(document));
  } else {
    start(document);
  }
})();
