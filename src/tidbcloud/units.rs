//! The values that go into requests, parsed once on entry.
//!
//! Each type states its bounds as a JSON Schema pattern and as a check on neighbouring lines; a property test holds
//! the two together.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::base::{clock::UnixMillis, text::is_hidden};

/// A value outside its bounds. It never repeats the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The expected kind of value.
    pub what: &'static str,
    /// Its rule, in words.
    pub expected: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} must be {}", self.what, self.expected)
    }
}

impl std::error::Error for Malformed {}

macro_rules! text_unit {
    ($(#[$attribute:meta])* $name:ident, $what:literal, $words:literal, $pattern:literal, |$text:ident| $holds:expr) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The pattern of a value: a regular expression (ECMA-262).
            pub const PATTERN: &'static str = $pattern;

            /// Whether `text` is such a value.
            pub fn holds($text: &str) -> bool {
                $holds
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Malformed;

            fn try_from(text: String) -> Result<Self, Malformed> {
                if Self::holds(&text) { Ok(Self(text)) } else { Err(Malformed { what: $what, expected: $words }) }
            }
        }

        impl FromStr for $name {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Malformed> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

/// Whether `text` has `least` to `most` bytes and each of them satisfies `allowed`.
pub(crate) fn made_of(text: &str, least: usize, most: usize, allowed: fn(u8) -> bool) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(allowed)
}

text_unit! {
    /// Id of a cluster (TiDB Cloud API, `Cluster.clusterId`): a decimal number that fits 64 bits, so 20 digits at most,
    /// and no leading zero: one number in two spellings would be two clusters to a map by id.
    ClusterId, "a cluster id", "a whole number of at most 20 digits", "^(0|[1-9][0-9]{0,19})$",
    |text| made_of(text, 1, 20, |byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

text_unit! {
    /// Id of a monitoring integration (Dedicated of the TiDB Cloud API, `IntegrationStatusResp.id`): a decimal number that fits 64 bits.
    IntegrationId, "an integration id", "a whole number of at most 20 digits", "^(0|[1-9][0-9]{0,19})$",
    |text| ClusterId::holds(text)
}

text_unit! {
    /// Id of a branch (TiDB Cloud API, `Branch.branchId`). Published examples have 26 characters after the hyphen;
    /// 5 + 59 = 64 leaves room.
    BranchId, "a branch id", "`bran-` and at most 59 lower-case letters or digits", "^bran-[a-z0-9]{1,59}$",
    |text| text.strip_prefix("bran-").is_some_and(|rest| {
        made_of(rest, 1, 59, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

text_unit! {
    /// Id of an import or export (TiDB Cloud API, `Import.importId` and `Export.exportId`). That the rest is at most 59 lower-case
    /// letters or digits is taken from branches: nothing says.
    TransferId, "an id of an import or export", "`imp-` or `exp-` and at most 59 lower-case letters or digits", "^(exp|imp)-[a-z0-9]{1,59}$",
    |text| text.strip_prefix("exp-").or_else(|| text.strip_prefix("imp-")).is_some_and(|rest| {
        made_of(rest, 1, 59, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

text_unit! {
    /// A role of AWS IAM (TiDB Cloud API, `S3Source.roleArn`):
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>.
    RoleArn, "a role", "like `arn:aws:iam::123456789012:role/name`", "^arn:aws(-cn|-us-gov)?:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,576}$",
    |text| text.strip_prefix("arn:aws").is_some_and(|rest| {
        let rest = rest.strip_prefix("-cn").or_else(|| rest.strip_prefix("-us-gov")).unwrap_or(rest);
        let parts = rest.strip_prefix(":iam::").and_then(|rest| rest.split_once(":role/"));
        parts.is_some_and(|(account, name)| {
            made_of(account, 12, 12, |byte| byte.is_ascii_digit())
                && made_of(name, 1, 576, |byte| byte.is_ascii_alphanumeric() || b"+=,.@_/-".contains(&byte))
        })
    })
}

text_unit! {
    /// Where a provider speaks as S3 does (TiDB Cloud API, `S3CompatibleSource.endpoint`, "HTTPS only"): a name and no address, so that
    /// nobody is led into a network of their own.
    Endpoint, "an endpoint", "https:// and a host name, such as `https://storage.example.com`", "^https://([a-z0-9-]{1,63}\\.){1,8}[a-z]{2,63}(:443)?/?$",
    |text| text.strip_prefix("https://").is_some_and(|rest| {
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let mut labels: Vec<&str> = rest.strip_suffix(":443").unwrap_or(rest).split('.').collect();
        let last = labels.pop().unwrap_or_default();
        made_of(last, 2, 63, |byte| byte.is_ascii_lowercase())
            && (1..=8).contains(&labels.len())
            && labels.iter().all(|label| made_of(label, 1, 63, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'))
    })
}

/// Top-level domains that no public host has (RFC 6762 appendix G, RFC 6761, RFC 8375, ICANN's `.internal`).
const INTERNAL: [&str; 10] =
    ["internal", "local", "localhost", "localdomain", "lan", "home", "corp", "intranet", "private", "arpa"];

impl Endpoint {
    /// Whether it is a name inside of a network, such as that of a cloud's metadata. TiDB Cloud connects, not this server: a public
    /// name whose owner points it at an inner address is not seen here.
    pub fn is_internal(&self) -> bool {
        let host = self.0.trim_end_matches('/').trim_end_matches(":443");
        host.rsplit('.').next().is_some_and(|last| INTERNAL.contains(&last))
    }
}

text_unit! {
    /// Name that a person gave to a cluster (TiDB Cloud API, `Cluster.displayName`): 4 to 64 characters.
    DisplayName, "a display name", "4 to 64 letters, digits or `-`, with a letter or digit at both ends", "^[A-Za-z0-9][-A-Za-z0-9]{2,62}[A-Za-z0-9]$",
    |text| made_of(text, 4, 64, |byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-') && !text.ends_with('-')
}

/// Name of a new branch. `Branch.displayName` of the TiDB Cloud API has no pattern and no length; the 64 characters are
/// those of `Cluster.displayName`. It is shown to people and models, so it holds no markup and nothing that hides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchName(String);

impl BranchName {
    /// The most characters of a name.
    const CHARACTERS_MAX: usize = 64;

    /// Whether an existing branch can have this name. A name is compared and sent in bodies, never in a path; one with a dot
    /// segment (RFC 3986 section 3.3) is a misplaced path.
    pub fn may_exist(text: &str) -> bool {
        (1..=Self::CHARACTERS_MAX).contains(&text.chars().count())
            && text.trim() == text
            && !text.contains(char::is_control)
            && !text.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BranchName {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        if Self::may_exist(&text) && !text.contains(|c| is_hidden(c) || matches!(c, '<' | '>')) {
            return Ok(Self(text));
        }
        let expected = "1 to 64 characters: no control or invisible characters, no `<` or `>`, no space around it";
        Err(Malformed { what: "a branch name", expected })
    }
}

impl From<BranchName> for String {
    fn from(name: BranchName) -> Self {
        name.0
    }
}

impl JsonSchema for BranchName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "BranchName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[^<>]{1,64}$" })
    }
}

text_unit! {
    /// Resource name of a region (TiDB Cloud API, `Region.name` and the alphabet of `Region.regionId`).
    RegionName, "a region name", "like `regions/aws-us-east-1`", "^regions/(aws|alicloud)-[a-z0-9-]{1,64}$",
    |text| text.strip_prefix("regions/aws-").or_else(|| text.strip_prefix("regions/alicloud-")).is_some_and(|rest| {
        made_of(rest, 1, 64, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    })
}

text_unit! {
    /// Name of a SQL user, with or without the prefix of its cluster: at most 32 characters, as in MySQL.
    /// It starts with no dot, so that it can stand as a path segment.
    SqlUserName, "a SQL user name", "1 to 32 letters, digits, `_`, `.` or `-` that begin with a letter, digit or `_`", "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$",
    |text| made_of(text, 1, 32, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        && !text.starts_with(['.', '-'])
}

text_unit! {
    /// Id of a project (TiDB Cloud API, `projectId`): a decimal number.
    ProjectId, "a project id", "a whole number of at most 20 digits", "^[0-9]{1,20}$",
    |text| made_of(text, 1, 20, |byte| byte.is_ascii_digit())
}

text_unit! {
    /// Id of a member of an organization (TiDB Cloud API, `api.OpenApiUser.userId`). The published example is a number; letters
    /// and hyphens leave room, and make no path.
    MemberId, "a member id", "1 to 64 letters, digits or hyphens", "^[A-Za-z0-9-]{1,64}$",
    |text| made_of(text, 1, 64, |byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

text_unit! {
    /// Public key of an API key (TiDB Cloud API, `api.OpenApiApiKey.accessKey`), such as `ABCDEFGH`.
    AccessKey, "a public key", "1 to 64 letters or digits", "^[A-Za-z0-9]{1,64}$",
    |text| made_of(text, 1, 64, |byte| byte.is_ascii_alphanumeric())
}

text_unit! {
    /// E-mail address of somebody who is let in. Narrower than RFC 5321: plain ASCII, so that no letter looks like another and
    /// nothing hides, 64 characters before the `@` and 253 after it (RFC 5321 section 4.5.3.1, RFC 1035 section 3.1).
    EmailAddress, "an e-mail address", "a plain e-mail address, like `name@example.com`", "^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,189}[.][A-Za-z0-9-]{2,63}$",
    |text| text.split_once('@').is_some_and(|(name, host)| {
        made_of(name, 1, 64, |byte| byte.is_ascii_alphanumeric() || b"._%+-".contains(&byte))
            && host.rsplit_once('.').is_some_and(|(rest, last)| {
                made_of(rest, 1, 189, |byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
                    && made_of(last, 2, 63, |byte| byte.is_ascii_alphanumeric() || byte == b'-')
            })
    })
}

text_unit! {
    /// Id of a resource for which no form is published (TiDB Cloud API, `Backup.backupId`, `TidbNodeGroup.tidbNodeGroupId`,
    /// `PrivateEndpointConnection.privateEndpointConnectionId`): the known ones are digits.
    OpaqueId, "an id", "1 to 64 letters, digits, `_` or `-` that begin with a letter or digit", "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
    |text| made_of(text, 1, 64, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && !text.starts_with(['_', '-'])
}

text_unit! {
    /// Token of a page, opaque (TiDB Cloud API, `pageToken`): at most 2 KiB, which leaves 14 KiB of the longest URL
    /// that Workers send (16 KiB).
    PageToken, "a page token", "the last `nextPageToken`", "^[!-~]{1,2048}$",
    |text| made_of(text, 1, 2048, |byte| byte.is_ascii_graphic())
}

text_unit! {
    /// A month of bills (TiDB Cloud API, `billedMonth`).
    BilledMonth, "a month", "`YYYY-MM`, for example 2026-01", "^20[0-9]{2}-(0[1-9]|1[0-2])$",
    |text| matches!(text.as_bytes(), [b'2', b'0', year @ .., b'-', tens, ones]
        if year.len() == 2 && year.iter().all(u8::is_ascii_digit)
            && matches!((tens, ones), (b'0', b'1'..=b'9') | (b'1', b'0'..=b'2')))
}

impl BilledMonth {
    /// The month of a moment, in UTC.
    pub fn of(moment: UnixMillis) -> Self {
        Self(Timestamp::at(moment).as_str().get(..7).unwrap_or_default().to_owned())
    }

    /// The month before.
    #[must_use]
    pub fn before(&self) -> Self {
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok()).unwrap_or_default();
        let (year, month) = (number(self.0.get(..4)), number(self.0.get(5..)));
        Self(if month > 1 {
            format!("{year:04}-{:02}", month - 1)
        } else {
            format!("{:04}-12", year.saturating_sub(1))
        })
    }
}

/// A day of the cost explorer (TiDB Cloud API, `forms.TimeRange`), as RFC 3339 section 5.6 writes a date.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BilledDay(String);

impl BilledDay {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The day of a moment, in UTC.
    pub fn of(moment: UnixMillis) -> Self {
        Self(Timestamp::at(moment).as_str().get(..10).unwrap_or_default().to_owned())
    }

    /// The day before.
    #[must_use]
    pub fn before(&self) -> Self {
        Self::of(UnixMillis(self.start().0.saturating_sub(1)))
    }

    /// How many days there are from this one to another, without that one.
    pub fn days_to(&self, other: &Self) -> u64 {
        other.start().0.saturating_sub(self.start().0) / 86_400_000
    }

    fn start(&self) -> UnixMillis {
        Timestamp::try_from(format!("{}T00:00:00Z", self.0)).map_or(UnixMillis(0), |start| start.moment())
    }
}

impl TryFrom<String> for BilledDay {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        match Timestamp::try_from(format!("{text}T00:00:00Z")) {
            Ok(_) if text.starts_with("20") => Ok(Self(text)),
            _ => Err(Malformed { what: "a day", expected: "YYYY-MM-DD, for example 2026-01-31" }),
        }
    }
}

impl From<BilledDay> for String {
    fn from(day: BilledDay) -> Self {
        day.0
    }
}

impl JsonSchema for BilledDay {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "BilledDay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date" })
    }
}

/// A point in time as RFC 3339 section 5.6 writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(String, OffsetDateTime);

impl Timestamp {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A moment in whole seconds, which is all that TiDB Cloud keeps of one.
    pub fn at(moment: UnixMillis) -> Self {
        let seconds = i64::try_from(moment.0 / 1_000).unwrap_or_default();
        let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let ((year, month, day), (hour, minute, second)) = (moment.to_calendar_date(), moment.to_hms());
        let month = u8::from(month);
        Self(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"), moment)
    }

    /// The moment; one before 1970 counts as 1970.
    pub fn moment(&self) -> UnixMillis {
        UnixMillis(u64::try_from(self.1.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        match OffsetDateTime::parse(&text, &Rfc3339) {
            Ok(moment) => Ok(Self(text, moment)),
            Err(_) => Err(Malformed { what: "a time", expected: "RFC 3339, for example 2026-01-31T12:00:00Z" }),
        }
    }
}

impl From<Timestamp> for String {
    fn from(value: Timestamp) -> Self {
        value.0
    }
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// Money: hundredths of a US dollar (TiDB Cloud API, `Cluster.spendingLimit.monthly`, an int32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "u32")]
pub struct UsdCents(u32);

impl UsdCents {
    /// The largest int32.
    pub const MAX: u32 = 0x7fff_ffff;

    /// The number of cents.
    pub fn cents(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for UsdCents {
    type Error = Malformed;

    fn try_from(cents: i64) -> Result<Self, Malformed> {
        let cents = u32::try_from(cents).ok().filter(|cents| *cents <= Self::MAX);
        cents.map(Self).ok_or(Malformed { what: "an amount in US cents", expected: "0 to 2147483647" })
    }
}

impl From<UsdCents> for u32 {
    fn from(value: UsdCents) -> Self {
        value.0
    }
}

impl JsonSchema for UsdCents {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "UsdCents".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0 })
    }
}

/// Request Capacity Units of an Essential instance (TiDB Cloud API, `Cluster.autoScaling`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Rcu(i64);

impl Rcu {
    /// The least of `minRcu`.
    pub const MIN: i64 = 2_000;
    /// The most of `maxRcu`.
    pub const MAX: i64 = 100_000;

    /// The number of units.
    pub fn units(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Rcu {
    type Error = Malformed;

    fn try_from(units: i64) -> Result<Self, Malformed> {
        let is_offered = (Self::MIN..=Self::MAX).contains(&units);
        if is_offered { Ok(Self(units)) } else { Err(Malformed { what: "RCUs", expected: "2000 to 100000" }) }
    }
}

impl From<Rcu> for i64 {
    fn from(value: Rcu) -> Self {
        value.0
    }
}

impl JsonSchema for Rcu {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Rcu".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer" })
    }
}

/// A cluster, or one of its branches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The cluster.
    pub cluster: ClusterId,
    /// The branch; `None` is the cluster itself.
    pub branch: Option<BranchId>,
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, string::string_regex};
    use serde_json::{Value, json};

    use super::*;
    use crate::tidbcloud::{ApiKey, BearerToken};

    type Check = (&'static str, fn(&str) -> bool);

    /// The checks that stand beside the patterns.
    const CHECKS: [Check; 20] = [
        (RoleArn::PATTERN, RoleArn::holds),
        (Endpoint::PATTERN, Endpoint::holds),
        (TransferId::PATTERN, TransferId::holds),
        (ClusterId::PATTERN, ClusterId::holds),
        (IntegrationId::PATTERN, IntegrationId::holds),
        (BranchId::PATTERN, BranchId::holds),
        (DisplayName::PATTERN, DisplayName::holds),
        (RegionName::PATTERN, RegionName::holds),
        (SqlUserName::PATTERN, SqlUserName::holds),
        (PageToken::PATTERN, PageToken::holds),
        (OpaqueId::PATTERN, OpaqueId::holds),
        (BilledMonth::PATTERN, BilledMonth::holds),
        (ProjectId::PATTERN, ProjectId::holds),
        (MemberId::PATTERN, MemberId::holds),
        (AccessKey::PATTERN, AccessKey::holds),
        (EmailAddress::PATTERN, EmailAddress::holds),
        (ApiKey::PUBLIC_PATTERN, |text| ApiKey::new(text, "canary").is_ok()),
        (ApiKey::PRIVATE_PATTERN, |text| ApiKey::new("PUBLIC01", text).is_ok()),
        (BearerToken::TOKEN_PATTERN, |text| BearerToken::new(text, "subject", "0".repeat(64)).is_ok()),
        (BearerToken::DERIVATION_PATTERN, |text| BearerToken::new("canary", "subject", text).is_ok()),
    ];

    #[test]
    fn every_check_means_its_pattern() {
        let mut runner = proptest::test_runner::TestRunner::default();
        for (pattern, holds) in CHECKS {
            let schema = jsonschema::validator_for(&json!({ "type": "string", "pattern": pattern })).unwrap();
            let inside = string_regex(pattern.trim_start_matches('^').trim_end_matches('$')).unwrap();
            // One inside, then one character put in place of another: most of these are just outside.
            let near = (inside, any::<prop::sample::Index>(), "[-_.:/ a-zA-Z0-9é\n]{0,2}");
            runner
                .run(&near, |(text, at, other)| {
                    prop_assert!(holds(&text), "{pattern} refuses {text:?}");
                    let mut changed: Vec<String> = text.chars().map(String::from).collect();
                    let at = at.index(changed.len());
                    changed[at] = other;
                    let changed = changed.concat();
                    let valid = schema.is_valid(&Value::String(changed.clone()));
                    prop_assert_eq!(holds(&changed), valid, "{} and its check differ on {:?}", pattern, changed);
                    Ok(())
                })
                .unwrap();
        }
    }

    #[test]
    fn lengths_end_where_the_patterns_say() {
        for (text, fits) in [("a".repeat(64), true), ("a".repeat(65), false), ("abc".into(), false)] {
            assert_eq!(DisplayName::holds(&text), fits, "{text}");
        }
        assert!(ClusterId::holds(&"9".repeat(20)) && !ClusterId::holds(&"9".repeat(21)) && !ClusterId::holds(""));
        assert!(PageToken::holds(&"t".repeat(2048)) && !PageToken::holds(&"t".repeat(2049)));
        assert!(!SqlUserName::holds("..") && !SqlUserName::holds("."));
    }

    #[test]
    fn a_branch_has_the_name_that_a_person_gave_it() {
        let made = |text: &str| BranchName::try_from(text.to_owned()).is_ok();
        for (text, may_exist, may_be_made) in [
            ("x", true, true),
            ("feature_1", true, true),
            ("release/1.2", true, true),
            ("a..b", true, true),
            (&*"枝".repeat(64), true, true),
            (&*"枝".repeat(65), false, false),
            ("<b>", true, false),
            ("a\u{200b}b", true, false),
            ("", false, false),
            (" x", false, false),
            ("a\nb", false, false),
            ("..", false, false),
            ("a/../b", false, false),
            ("a\\..", false, false),
        ] {
            assert_eq!((BranchName::may_exist(text), made(text)), (may_exist, may_be_made), "{text:?}");
        }
    }

    #[test]
    fn an_error_never_repeats_a_key() {
        for malformed in [
            ApiKey::new("PUBLIC01", "canary private").err().unwrap(),
            BearerToken::new("canary token", "subject", "0".repeat(64)).err().unwrap(),
            BearerToken::new("token", "subject", "canary").err().unwrap(),
        ] {
            assert!(!format!("{malformed} {malformed:?}").contains("canary"));
        }
    }

    #[test]
    fn money_and_time_have_bounds() {
        assert!(serde_json::from_value::<UsdCents>(json!(2_147_483_648_u32)).is_err());
        assert!(serde_json::from_value::<UsdCents>(json!(-1)).is_err());
        assert_eq!(serde_json::from_value::<UsdCents>(json!(0)).unwrap().cents(), 0);
        let time: Timestamp = serde_json::from_value(json!("2026-01-31T12:00:00.250+01:00")).unwrap();
        assert_eq!(time.moment(), UnixMillis(1_769_857_200_250));
        assert!(Timestamp::try_from("2026-01-31".to_owned()).is_err());
    }

    #[test]
    fn months_and_days_are_those_of_the_calendar() {
        let month: BilledMonth = "2026-01".parse().unwrap();
        assert_eq!(month.before().as_str(), "2025-12", "January comes after December");
        assert_eq!(month.before().before().as_str(), "2025-11");
        assert_eq!(BilledMonth::of(UnixMillis(1_769_903_999_000)).as_str(), "2026-01", "the last second of it, in UTC");
        let day = |text: &str| BilledDay::try_from(text.to_owned());
        for (text, exists) in [
            ("2026-02-28", true),
            ("2026-02-29", false),
            ("2026-2-28", false),
            ("2026-02-28T00:00:00Z", false),
            ("1999-01-01", false),
            ("", false),
        ] {
            assert_eq!(day(text).is_ok(), exists, "{text}");
        }
        assert!(day("2026-01-31").unwrap() < day("2026-02-01").unwrap());
        for (units, offered) in [(1_999, false), (2_000, true), (100_000, true), (100_001, false)] {
            assert_eq!(Rcu::try_from(units).is_ok(), offered, "{units}");
        }
    }
}
