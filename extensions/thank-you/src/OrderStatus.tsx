/// <reference types="@shopify/ui-extensions/customer-account.order-status.block.render" />
import '@shopify/ui-extensions/preact';
import { render } from 'preact';

import { OptIn } from './OptIn';

/** The order-status page: the order comes once the buyer has shown that it is theirs. */
export default async function orderStatus() {
  render(<Block />, document.body);
}

function Block() {
  return (
    <OptIn
      orderId={shopify.order.value?.id}
      checkoutToken={shopify.checkoutToken.value}
      locale={shopify.localization.language.value.isoCode}
      settings={shopify.settings.value}
      inEditor={shopify.extension.editor !== undefined}
      translate={(key, words) => shopify.i18n.translate(key, words)}
      token={() => shopify.sessionToken.get()}
    />
  );
}
