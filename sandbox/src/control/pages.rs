//! Lists in pages.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::answers::Failure;

/// What is to be read of a list, and what its next token is bound to.
pub(super) struct Page {
    /// Elements on the page.
    size: usize,
    /// Elements to pass over after the filter, on the first page.
    skip: usize,
    /// Elements up to this position were on earlier pages.
    after: u64,
    /// Hash of everything that must not change between pages.
    binding: [u8; 8],
}

/// Adds `nextPageToken` where there is a next page; on the last one the field is absent.
pub(super) fn set_token(body: &mut Value, token: Option<String>) {
    if let (Some(fields), Some(token)) = (body.as_object_mut(), token) {
        fields.insert("nextPageToken".to_owned(), json!(token));
    }
}

/// The size that means "all one may have" in a `pageSize` of 0, and the most there is.
pub(super) const PAGE_SIZE_MAX: usize = 100;

impl Page {
    /// Reads `pageSize`, `pageToken` and `skip`; all other parameters, and `scope`, must match those of the request that gave
    /// the token.
    pub(super) fn read(query: &BTreeMap<String, String>, scope: &str, default_size: usize) -> Result<Self, Failure> {
        let number = |name: &str| match query.get(name).map(|text| text.parse::<i32>()) {
            None => Ok(0),
            Some(Ok(number)) => {
                usize::try_from(number).map_err(|_| Failure::new(400, format!("invalid {name}: it is negative")))
            }
            Some(Err(_)) => Err(Failure::new(400, format!("invalid {name}"))),
        };
        let size = match number("pageSize")? {
            0 => default_size,
            size => size.min(PAGE_SIZE_MAX),
        };
        let skip = number("skip")?;
        let mut hash = Sha256::new();
        hash.update(scope.as_bytes());
        for (name, value) in query.iter().filter(|(name, _)| *name != "pageToken") {
            hash.update(format!("\0{name}\0{value}").as_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let mut binding = [0; 8];
        binding.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        let mut page = Self { size, skip, after: 0, binding };
        if let Some(token) = query.get("pageToken").filter(|token| !token.is_empty()) {
            page.after = page.position(token).ok_or(Failure::new(400, "invalid pageToken"))?;
            page.skip = 0;
        }
        Ok(page)
    }

    /// The position in a token that was made for the same list.
    fn position(&self, token: &str) -> Option<u64> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (binding, position) = bytes.split_at_checked(8)?;
        (binding == self.binding).then_some(())?;
        Some(u64::from_be_bytes(position.try_into().ok()?))
    }

    /// The elements of this page out of all, which are in the order of their positions, and the token of the next page.
    pub(super) fn cut<T>(&self, all: impl Iterator<Item = (u64, T)>) -> (Vec<T>, Option<String>) {
        let mut rest = all.skip_while(|(position, _)| *position <= self.after).skip(self.skip).peekable();
        let mut items = Vec::new();
        let mut last = self.after;
        while items.len() < self.size
            && let Some((position, item)) = rest.next()
        {
            last = position;
            items.push(item);
        }
        let token = rest.peek().map(|_| URL_SAFE_NO_PAD.encode([self.binding, last.to_be_bytes()].concat()));
        (items, token)
    }
}
