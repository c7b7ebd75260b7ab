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
    $$(".toast[data-toast]", root).forEach(t => setTimeout(() => t.remove(), 6000));
  };
  ready(document);
  document.addEventListener("htmx:afterSwap", e => ready(e.target));
  /* the name in htmx 4; its target is what asked, not what was swapped */
  document.addEventListener("htmx:after:swap", e => ready(e.detail?.ctx?.target?.isConnected ? e.detail.ctx.target : document));
})();
