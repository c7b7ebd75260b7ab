/// <reference types="@shopify/ui-extensions/purchase.thank-you.block.render" />
import '@shopify/ui-extensions/preact';
import { render } from 'preact';

import { OptIn } from './OptIn';

/** The thank-you page: the order is there as soon as the page is. */
export default async function thankYou() {
  render(<Block />, document.body);
}

function Block() {
  return (
    <OptIn
      orderId={shopify.orderConfirmation.value?.order.id}
      checkoutToken={shopify.checkoutToken.value}
      locale={shopify.localization.language.value.isoCode}
      settings={shopify.settings.value}
      inEditor={shopify.extension.editor !== undefined}
      translate={(key, words) => shopify.i18n.translate(key, words)}
      token={() => shopify.sessionToken.get()}
    />
  );
}
