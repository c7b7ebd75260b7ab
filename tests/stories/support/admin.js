/* Stands for Shopify's App Bridge: tokens on the app's own fetches, one retry, the bounce page's
   reload, the admin's navigation and toast. */
(() => {
  const real = window.fetch;
  const token = async () => (await real("https://admin.shopify.com/session-token")).text();
  window.fetch = async (address, options = {}) => {
    if (new URL(address, location.href).origin !== location.origin) return real(address, options);
    const ask = async () => {
      const headers = new Headers(options.headers);
      headers.set("Authorization", "Bearer " + (window.staleToken ?? await token()));
      window.staleToken = undefined;
      return real(address, { ...options, headers });
    };
    const answer = await ask();
    return answer.headers.has("X-Shopify-Retry-Invalid-Session-Request") ? ask() : answer;
  };
  window.toasts = [];
  window.shopify = { toast: { show: text => window.toasts.push(text) } };
  for (const name of ["s-page", "s-app-nav"]) customElements.define(name, class extends HTMLElement {});
  document.addEventListener("click", e => {
    const link = e.target.closest("s-app-nav s-link");
    if (!link) return;
    e.preventDefault();
    link.dispatchEvent(new CustomEvent("shopify:navigate", { bubbles: true }));
  });
  const reload = new URLSearchParams(location.search).get("shopify-reload");
  if (reload && document.currentScript.dataset.apiKey)
    token().then(fresh => {
      const back = new URL(reload, location.href);
      back.searchParams.set("id_token", fresh);
      location.replace(back);
    });
})();
