//! The storage behind exports and imports of files: a bucket with signed addresses, in the form of S3's, for as much as
//! `ticloud serverless export download` and `ticloud serverless import start --local.file-path` use.
//!
//! Nothing says at which hosts TiDB Cloud keeps these files. That it is S3 follows from the official client, whose uploader has the
//! limits of S3; the name of the bucket is the sandbox's own.

use md5::{Digest as _, Md5};

use super::{
    digest::hex,
    state::{World, timestamp},
};
use crate::exchange::{Request, Response};

/// The host of the bucket.
pub const STORAGE_HOST: &str = "sandbox-transfer.s3.us-east-1.amazonaws.com";
/// How long an address works. A guess: an hour.
const SIGNED_MILLIS: u64 = 60 * 60 * 1_000;

/// What an address may be used for.
pub(super) struct Signed {
    method: &'static str,
    key: String,
    until: u64,
}

/// An address to `GET` or `PUT` an object, with `content` in it if there is some already.
pub(super) fn address(
    world: &mut World,
    now: u64,
    method: &'static str,
    key: &str,
    content: Option<Vec<u8>>,
) -> String {
    world.signed.retain(|_, signed| now <= signed.until);
    if let Some(content) = content {
        world.objects.insert(key.to_owned(), content);
    }
    let signature = hex(&world.draw("storage"));
    let until = now + SIGNED_MILLIS;
    world.signed.insert(signature.clone(), Signed { method, key: key.to_owned(), until });
    let date: String = timestamp(now).chars().filter(|character| !matches!(character, '-' | ':')).collect();
    format!(
        "https://{STORAGE_HOST}/{}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={date}&X-Amz-Expires={}&X-Amz-Signature={signature}",
        encoded(key),
        SIGNED_MILLIS / 1_000
    )
}

/// A key as a path: what is not unreserved (RFC 3986 section 2.3) and no slash is percent-encoded.
fn encoded(key: &str) -> String {
    let byte = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    key.bytes().map(byte).collect()
}

/// The ETag of an object that was uploaded in one part.
pub(super) fn etag(content: &[u8]) -> String {
    hex(&Md5::digest(content))
}

/// Takes away what lies below a beginning of keys, and every address of it.
pub(super) fn clear(world: &mut World, start: &str) {
    world.objects.retain(|key, _| !key.starts_with(start));
    world.signed.retain(|_, signed| !signed.key.starts_with(start));
}

fn refused(status: u16, code: &str) -> Response {
    let headers = vec![("Content-Type".to_owned(), "application/xml".to_owned())];
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code></Error>");
    Response { status, headers, body: body.into_bytes() }
}

/// Answers a request to the bucket; errors are those of S3 (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
pub(super) fn serve(world: &mut World, now: u64, target: &str, request: &Request) -> Response {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let signature = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Signature="));
    let Some(signed) = signature.and_then(|signature| world.signed.get(signature)) else {
        return refused(403, "SignatureDoesNotMatch");
    };
    if signed.method != request.method || path.strip_prefix('/') != Some(encoded(&signed.key).as_str()) {
        return refused(403, "SignatureDoesNotMatch");
    }
    if now > signed.until {
        return refused(403, "AccessDenied");
    }
    let key = signed.key.clone();
    if request.method == "PUT" {
        let etag = format!("\"{}\"", etag(&request.body));
        world.objects.insert(key, request.body.clone());
        return Response { status: 200, headers: vec![("ETag".to_owned(), etag)], body: Vec::new() };
    }
    let Some(content) = world.objects.get(&key) else { return refused(404, "NoSuchKey") };
    let headers = vec![
        ("Content-Type".to_owned(), "binary/octet-stream".to_owned()),
        ("ETag".to_owned(), format!("\"{}\"", etag(content))),
    ];
    Response { status: 200, headers, body: content.clone() }
}
