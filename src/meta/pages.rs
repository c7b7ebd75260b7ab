//! Pages and what belongs to them: subscription to webhooks, Get Started, subscription tokens.
