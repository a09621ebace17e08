//! A few of the real regions, enough to choose from.

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// A region.
pub(super) struct Region {
    /// `{provider}-{code}`.
    pub(super) id: &'static str,
    pub(super) provider: &'static str,
    code: &'static str,
    city: &'static str,
    /// Whether Starter is offered; Essential always is.
    pub(super) starter: bool,
}

/// All regions of the sandbox. One has no Starter, so that clients meet the case.
pub(super) const REGIONS: [Region; 7] = [
    region("aws-us-east-1", "aws", "us-east-1", "N. Virginia", true),
    region("aws-us-west-2", "aws", "us-west-2", "Oregon", true),
    region("aws-eu-central-1", "aws", "eu-central-1", "Frankfurt", true),
    region("aws-ap-northeast-1", "aws", "ap-northeast-1", "Tokyo", true),
    region("aws-ap-southeast-1", "aws", "ap-southeast-1", "Singapore", true),
    region("alicloud-ap-southeast-1", "alicloud", "ap-southeast-1", "Singapore", true),
    region("alicloud-ap-southeast-5", "alicloud", "ap-southeast-5", "Jakarta", false),
];

/// The region of the cluster `shop`.
pub(super) const SHOP_REGION: &Region = &REGIONS[0];

const fn region(
    id: &'static str,
    provider: &'static str,
    code: &'static str,
    city: &'static str,
    starter: bool,
) -> Region {
    Region { id, provider, code, city, starter }
}

impl Region {
    /// `regions/{id}`.
    pub(super) fn name(&self) -> String {
        format!("regions/{}", self.id)
    }

    /// Host of the public endpoint that all instances of the region share.
    pub(super) fn host(&self) -> String {
        format!("gateway01.{}.prod.{}.tidbcloud.com", self.code, self.provider)
    }

    /// The private endpoint. Its fields are published; the form of the service's name is that of each provider, and the zones are
    /// guesses.
    pub(super) fn private(&self, port: u16) -> Value {
        let Self { code, provider, .. } = self;
        let service = match *provider {
            "aws" => format!("com.amazonaws.vpce.{code}.vpce-svc-0f3c2b1a4d5e60718"),
            _ => format!("com.aliyuncs.privatelink.{code}.epsrv-t4n0f3c2b1a4d5e6"),
        };
        json!({
            "host": format!("gateway01-privatelink.{code}.prod.{provider}.tidbcloud.com"),
            "port": port,
            *provider: { "serviceName": service, "availabilityZone": [format!("{code}-az1"), format!("{code}-az2")] },
        })
    }

    /// As the API shows it.
    pub(super) fn show(&self) -> Value {
        let plans: &[&str] = if self.starter { &["Starter", "Essential"] } else { &["Essential"] };
        json!({
            "name": self.name(),
            "regionId": self.id,
            "cloudProvider": self.provider,
            "provider": self.provider,
            "displayName": format!("{} ({})", self.city, self.code),
            "servicePlans": plans,
        })
    }
}

/// Hosts of the public endpoints of all regions, each once.
pub(crate) fn public_hosts() -> BTreeSet<String> {
    REGIONS.iter().map(Region::host).collect()
}

/// The region of this name.
pub(super) fn find(name: &str) -> Option<&'static Region> {
    REGIONS.iter().find(|region| region.name() == name)
}
