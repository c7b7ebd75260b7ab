//! Which requests are a person's click.

/// Parts of the User-Agents of previews, link scanners and crawlers, in lower case. Nearly every
/// declared bot gives an address of its own as `(+http…`. In-app browsers of people carry none of
/// these: Facebook's says `FBAN`, Google's `GSA`.
const NOT_PEOPLE: [&str; 40] = [
    "+http",
    "bot/",
    "bot;",
    "crawler",
    "spider",
    "facebookexternalhit",
    "facebookcatalog",
    "facebookplatform",
    "facebot",
    "meta-externalagent",
    "meta-externalfetcher",
    "slackbot",
    "slack-imgproxy",
    "whatsapp",
    "telegrambot",
    "twitterbot",
    "linkedinbot",
    "discordbot",
    "pinterestbot",
    "applebot",
    "skypeuripreview",
    "microsoftpreview",
    "bingpreview",
    "googlebot",
    "googleother",
    "google-",
    "google favicon",
    "google web preview",
    "googleimageproxy",
    "mediapartners-google",
    "apis-google",
    "yahoomailproxy",
    "safelinks",
    "proofpoint",
    "barracuda",
    "mimecast",
    "trendmicro",
    "virustotal",
    "urlscan",
    "embedly",
];

/// Whether the request is a person's click: not HEAD, not a prefetch (`purpose` is the value of
/// `Purpose`, `Sec-Purpose` or `X-Moz`), not a link scanner or a preview bot (their User-Agents).
pub fn is_counted(method: &str, user_agent: Option<&str>, purpose: Option<&str>) -> bool {
    if method != "GET" {
        return false;
    }
    let purpose = purpose.unwrap_or_default().to_lowercase();
    if ["prefetch", "prerender", "preview"]
        .iter()
        .any(|ahead| purpose.contains(ahead))
    {
        return false;
    }
    let agent = user_agent.unwrap_or_default().to_lowercase();
    !NOT_PEOPLE.iter().any(|part| agent.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_MESSENGER: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) \
        AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 \
        [FBAN/MessengerForiOS;FBAV/480.0.0;FBDV/iPhone14,5]";
    const CHROME: &str = "Mozilla/5.0 (Linux; Android 15; CUBOT X30) AppleWebKit/537.36 \
        (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36";

    #[test]
    fn people_count_whatever_they_browse_with() {
        for agent in [
            Some(IN_MESSENGER),
            Some(CHROME),
            Some("curl/8.5.0"),
            Some(""),
            None,
        ] {
            assert!(is_counted("GET", agent, None), "{agent:?}");
        }
    }

    #[test]
    fn previews_and_scanners_do_not_count() {
        for agent in [
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "facebookexternalhit/1.1",
            "Facebot",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "WhatsApp/2.23.20.0",
            "Mozilla/5.0 (compatible; bingbot/2.0) BingPreview/1.0b",
            "Google-PageRenderer",
            "Mozilla/5.0 (compatible; Google-Safety; +http://www.google.com/bot.html)",
            "SafeLinks",
            "Proofpoint URL Defense",
            "Barracuda Sentinel (EE)",
            "TelegramBot (like TwitterBot)",
        ] {
            assert!(!is_counted("GET", Some(agent), None), "{agent}");
        }
    }

    #[test]
    fn looking_ahead_is_no_click() {
        assert!(!is_counted("HEAD", Some(CHROME), None));
        assert!(!is_counted("POST", Some(CHROME), None));
        for purpose in ["prefetch", "prefetch;prerender", "Preview"] {
            assert!(!is_counted("GET", Some(CHROME), Some(purpose)), "{purpose}");
        }
    }
}
