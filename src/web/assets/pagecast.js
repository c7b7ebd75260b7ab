/* Pagecast admin: the little that HTML and htmx do not do by themselves.
   Every part is found by a data attribute and works on what htmx swaps in. */
(() => {
  const $ = (s, r = document) => r.querySelector(s);
  const $$ = (s, r = document) => [...r.querySelectorAll(s)];
  const on = (type, sel, fn) => document.addEventListener(type, e => { const el = e.target.closest?.(sel); if (el) fn(el, e); });
  const embedded = () => document.documentElement.hasAttribute("data-embedded");

  /* Dialogs: <button commandfor="id" command="show-modal">, for browsers without invoker commands. */
  if (!("commandForElement" in HTMLButtonElement.prototype))
    on("click", "button[commandfor]", b => {
      const d = document.getElementById(b.getAttribute("commandfor"));
      if (b.getAttribute("command") === "show-modal") d.showModal(); else d.close();
    });

  /* Toast: answer with the header HX-Trigger: {"toast": "Saved"}. Shopify draws it when embedded. */
  const toast = (text, bad = false) => {
    if (embedded() && window.shopify?.toast) return shopify.toast.show(text, { isError: bad });
    $(".toast")?.remove();
    const t = Object.assign(document.createElement("div"), { className: "toast" + (bad ? " bad" : ""), role: bad ? "alert" : "status", textContent: text });
    document.body.append(t);
    setTimeout(() => t.remove(), 6000);
  };
  document.addEventListener("toast", e => toast(e.detail?.value ?? e.detail, e.detail?.bad));

  /* Copy: <button data-copy="text"> */
  on("click", "[data-copy]", async b => {
    try { await navigator.clipboard.writeText(b.dataset.copy); toast("Copied"); }
    catch { toast("Your browser did not allow copying. Select the text and copy it.", true); }
  });

  /* Bulk: one checkbox for all rows on the page, and how many are chosen. */
  on("change", "[data-check-all]", a => { $$("tbody input[type=checkbox]", a.closest("form")).forEach(c => (c.checked = a.checked)); chosen(a.closest("form")); });
  on("change", "tbody input[type=checkbox]", c => chosen(c.closest("form")));
  const chosen = f => {
    if (!f) return;
    const all = $$("tbody input[type=checkbox]", f), n = all.filter(c => c.checked).length, head = $("[data-check-all]", f);
    if (head) { head.checked = n > 0 && n === all.length; head.indeterminate = n > 0 && n < all.length; }
    const out = $("[data-chosen]", f);
    if (out) out.textContent = n + " selected";
  };

  /* Live preview: <input data-preview="card-title"> writes into <… data-shows="card-title">.
     {{first_name}} and its like are filled from data-sample on the preview. */
  const preview = el => {
    const sample = JSON.parse($("[data-sample]")?.dataset.sample ?? "{}");
    const text = el.value.replace(/\{\{\s*([\w.]+)\s*(?:\|([^}]*))?\}\}/g, (m, k, other) => sample[k] ?? other?.trim() ?? m);
    $$(`[data-shows="${el.dataset.preview}"]`).forEach(t => (t.textContent = text));
    $$(`[data-shows-picture="${el.dataset.preview}"]`).forEach(t => {
      t.hidden = !/^https:\/\//.test(text) || $('[name="media"]')?.value === "video" && el.name === "media_url";
      if (!t.hidden) t.src = text;
    });
  };
  on("input", "[data-preview]", preview);
  on("click", "[data-insert]", b => {
    const t = document.getElementById(b.dataset.into);
    t.setRangeText(b.dataset.insert, t.selectionStart, t.selectionEnd, "end");
    t.focus();
    t.dispatchEvent(new Event("input", { bubbles: true }));
  });

  /* Counter: <input data-max="80"> with <output class="count" for="id"> */
  const count = el => {
    const out = $(`output[for="${el.id}"]`);
    if (!out) return;
    const n = [...el.value].length, max = +el.dataset.max;
    out.textContent = `${n} of ${max}`;
    out.toggleAttribute("data-over", n > max);
  };
  on("input", "[data-max]", count);

  /* Unsaved changes. Embedded, App Bridge watches <form data-save-bar>; alone, our own bar does. */
  on("input", "form[data-save-bar]", f => {
    const bar = $(".save-bar[hidden]", f);
    if (bar && !embedded()) bar.hidden = false;
  });

  /* Menus close on Escape and on a click elsewhere. */
  document.addEventListener("click", e => $$("details.menu[open]").forEach(d => d.contains(e.target) || (d.open = false)));
  document.addEventListener("keydown", e => {
    if (e.key !== "Escape") return;
    const d = $("details.menu[open]");
    if (d) { d.open = false; $("summary", d).focus(); }
  });

  /* Tables that become cards on a phone keep being tables to a screen reader. */
  const ready = root => {
    $$("table.stacks", root).forEach(t => {
      t.setAttribute("role", "table");
      $$("thead, tbody, tfoot", t).forEach(x => x.setAttribute("role", "rowgroup"));
      $$("tr", t).forEach(x => x.setAttribute("role", "row"));
      $$("td", t).forEach(x => x.setAttribute("role", "cell"));
      $$("thead th", t).forEach(x => x.setAttribute("role", "columnheader"));
      $$("tbody th", t).forEach(x => x.setAttribute("role", "rowheader"));
    });
    $$("[data-preview]", root).forEach(preview);
    $$("[data-max]", root).forEach(count);
    /* a dialog that came open with the page holds the rest back */
    $$("dialog[data-open]", root).forEach(d => { d.removeAttribute("data-open"); d.close(); d.showModal(); });
    /* a toast that came with the page */
    $$(".toast[data-toast]", root).forEach(t => {
      if (embedded() && window.shopify?.toast) { t.remove(); toast(t.textContent); }
      else setTimeout(() => t.remove(), 6000);
    });
    title();
  };

  /* Inside Shopify's admin. */
  if (embedded()) {
    const shop = document.documentElement.dataset.shop;
    const here = new URLSearchParams(location.search);
    const kept = { embedded: "1", shop, host: here.get("host") ?? btoa("admin.shopify.com/store/" + shop.split(".")[0]).replace(/=+$/, "") };
    const passing = ["id_token", "hmac", "session", "timestamp", "locale", "appLoadId", "toast"];
    /* What a reload needs stays in the address; what proves or happens once does not. */
    const carry = address => {
      const url = new URL(address, location.href);
      if (url.origin !== location.origin) return address;
      passing.forEach(k => url.searchParams.delete(k));
      Object.entries(kept).forEach(([k, v]) => url.searchParams.set(k, v));
      return url.pathname + url.search + url.hash;
    };
    ["pushState", "replaceState"].forEach(name => {
      const was = history[name];
      history[name] = function (state, title, address) { return was.call(history, state, title, address == null ? address : carry(address)); };
    });
    history.replaceState(history.state, "", location.href);

    /* App Bridge gives our fetches their session token; the mark tells them from documents. */
    document.addEventListener("htmx:config:request", e => { e.detail.ctx.request.headers["X-Pagecast-Embedded"] = "1"; });

    /* The admin's own navigation: gone to without reloading the frame. */
    document.addEventListener("shopify:navigate", e => {
      const href = e.target?.getAttribute?.("href");
      if (!href) return;
      const a = Object.assign(document.createElement("a"), { href, hidden: true });
      document.body.append(a);
      htmx.process(a);
      a.click();
    });

    /* A download is a document of its own and would carry no token. */
    on("click", 'a[download][href^="/app"]', async (a, e) => {
      e.preventDefault();
      const answer = await fetch(a.href, { headers: { "X-Pagecast-Embedded": "1" } });
      if (!answer.ok) return toast("The file could not be loaded. Try again.", true);
      const name = /filename="?([^";]+)/.exec(answer.headers.get("content-disposition") ?? "")?.[1] ?? "export";
      const address = URL.createObjectURL(await answer.blob());
      Object.assign(document.createElement("a"), { href: address, download: a.getAttribute("download") || name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
    });
  }

  /* Where Shopify draws the title bar, it gets this page's state, its actions and the way back. */
  const title = () => {
    const bar = $("s-page");
    if (!embedded() || !bar || !customElements.get("s-page")) return;
    document.documentElement.setAttribute("data-titled", "");
    const mirror = (el, slot) => {
      const b = Object.assign(document.createElement(slot === "breadcrumb-actions" ? "s-link" : "s-button"), { slot, textContent: el.textContent.trim() || el.ariaLabel });
      if (slot === "breadcrumb-actions") b.setAttribute("href", el.getAttribute("href"));
      else b.addEventListener("click", () => el.click());
      bar.append(b);
    };
    bar.replaceChildren();
    $$(".page-head .title .badge").forEach(b => bar.append(Object.assign(document.createElement("s-badge"), { slot: "accessory", textContent: b.textContent.trim() })));
    $$(".page-head .crumb a").slice(-1).forEach(a => mirror(a, "breadcrumb-actions"));
    $$(".page-head .actions :is(a.btn, button.btn, .menu li > *)").forEach(b => mirror(b, b.classList.contains("primary") ? "primary-action" : "secondary-actions"));
  };

  ready(document);
  document.addEventListener("htmx:afterSwap", e => ready(e.target));
  /* the name in htmx 4; its target is what asked, not what was swapped */
  document.addEventListener("htmx:after:swap", e => ready(e.detail?.ctx?.target?.isConnected ? e.detail.ctx.target : document));
})();
