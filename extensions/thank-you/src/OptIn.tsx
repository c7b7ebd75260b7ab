import { useEffect, useState } from 'preact/hooks';

import { ask, type Way } from './ask';

export interface OptInProps {
  orderId: string | undefined;
  checkoutToken: string | undefined;
  locale: string;
  settings: Record<string, unknown>;
  /** The merchant is placing the block, nobody has bought. */
  inEditor: boolean;
  translate: (key: string, words?: Record<string, string>) => string;
  token: () => Promise<string>;
}

/**
 * Asks for consent: what is agreed to stands in full above the way to say yes, and the yes itself
 * is said in Messenger. Renders nothing where there is nothing to ask.
 */
export function OptIn(props: OptInProps) {
  const { orderId, checkoutToken, locale, settings, inEditor, translate, token } = props;
  const consentText = words(settings.consent_text);
  const [way, setWay] = useState<Way>();

  useEffect(() => {
    let isCurrent = true;
    token()
      .then((token) => ask(token, { orderId, checkoutToken, consentText, locale }))
      .catch((): Way => ({ state: 'none' }))
      .then((way) => isCurrent && setWay(way));
    return () => {
      isCurrent = false;
    };
  }, [orderId, checkoutToken, consentText, locale]);

  if (way === undefined) {
    return (
      <s-section accessibilityLabel={translate('loading')}>
        <s-skeleton-paragraph />
      </s-section>
    );
  }
  if (way.state === 'none') {
    // A buyer sees nothing; the merchant has to know why.
    if (!inEditor) return null;
    return <s-banner tone="info">{translate('editor')}</s-banner>;
  }
  if (way.state === 'subscribed') {
    return <s-text color="subdued">{translate('subscribed')}</s-text>;
  }
  const { url, page, consent_text } = way;
  return (
    <s-query-container>
      <s-section heading={words(settings.heading) ?? translate('heading')}>
        <s-stack gap="base">
          <s-paragraph>{words(settings.text) ?? translate('text', { page })}</s-paragraph>
          <s-paragraph type="small">{consent_text}</s-paragraph>
          <s-stack direction="inline" gap="large" alignItems="center">
            <s-button variant="primary" href={url} target="_blank">
              {words(settings.button) ?? translate('button')}
            </s-button>
            <s-box display="@container (inline-size > 480px) auto, none">
              <s-stack direction="inline" gap="base" alignItems="center">
                <s-qr-code content={url} size="base" accessibilityLabel={translate('qr_label')} />
                <s-text type="small">{translate('qr_text')}</s-text>
              </s-stack>
            </s-box>
          </s-stack>
        </s-stack>
      </s-section>
    </s-query-container>
  );
}

/** A setting that the merchant filled in. */
function words(setting: unknown): string | undefined {
  return typeof setting === 'string' && setting.trim() !== '' ? setting.trim() : undefined;
}
