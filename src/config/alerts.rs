//! Who is told of trouble.

use url::Url;

use super::may_be_here;
use crate::base::secret::Secret;

/// How an alert is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertFormat {
    /// `{"text": ...}`, as Slack's incoming webhooks take it: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.
    Slack,
    /// Fields for programs.
    Json,
}

impl AlertFormat {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "slack" => Some(Self::Slack),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Who is told of trouble, how, and from when on.
pub struct Alerts {
    /// An address, which is a secret: whoever knows it can post there.
    pub webhook: Secret,
    /// How alerts are written.
    pub format: AlertFormat,
    /// The percentage of failures that is trouble.
    pub percent: u8,
}

impl Alerts {
    /// The names of its settings.
    pub(super) const WEBHOOK: &str = "ALERT_WEBHOOK_URL";
    pub(super) const FORMAT: &str = "ALERT_FORMAT";
    pub(super) const PERCENT: &str = "ALERT_ERROR_PERCENT";
    pub(super) const SETTINGS: [&str; 3] = [Self::WEBHOOK, Self::FORMAT, Self::PERCENT];

    /// What its address must be.
    pub(super) const RULE: &str = "must be an https address without a login or a fragment, and on a loopback host only while TIDB_CLOUD_SANDBOX is set";

    /// # Errors
    /// The address is none that alerts may go to.
    pub(super) fn to(webhook: &Url, has_sandbox: bool, format: AlertFormat, percent: u8) -> Result<Self, &'static str> {
        let scheme = webhook.scheme();
        let is_allowed =
            if may_be_here(webhook) { has_sandbox && matches!(scheme, "http" | "https") } else { scheme == "https" };
        let is_plain = webhook.username().is_empty() && webhook.password().is_none() && webhook.fragment().is_none();
        if is_allowed && is_plain {
            Ok(Self { webhook: Secret::new(webhook.as_str()), format, percent })
        } else {
            Err(Self::RULE)
        }
    }
}
