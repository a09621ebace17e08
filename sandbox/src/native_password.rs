//! `mysql_native_password`, the method that TiDB Cloud's SQL users have ("Native Authentication" in MySQL's protocol
//! documentation): a server keeps SHA1(SHA1(password)), and a client proves that it knows SHA1(password).

use sha1::{Digest as _, Sha1};

/// Bytes of a nonce, and of a SHA-1.
pub(crate) const LENGTH: usize = 20;

fn sha1(parts: &[&[u8]]) -> [u8; LENGTH] {
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn xor(left: &[u8; LENGTH], right: &[u8; LENGTH]) -> [u8; LENGTH] {
    let mut out = *left;
    for (byte, other) in out.iter_mut().zip(right) {
        *byte ^= other;
    }
    out
}

/// What a server keeps of a password.
pub(crate) fn stored(password: &str) -> [u8; LENGTH] {
    sha1(&[&sha1(&[password.as_bytes()])])
}

/// What a client answers to `nonce`.
pub(crate) fn proof(password: &str, nonce: &[u8]) -> [u8; LENGTH] {
    xor(&sha1(&[password.as_bytes()]), &sha1(&[nonce, &stored(password)]))
}

/// Whether `proof` is the answer to `nonce` of a client that knows the password.
pub(crate) fn proves(proof: &[u8], nonce: &[u8], stored: &[u8; LENGTH]) -> bool {
    let Ok(proof) = <&[u8; LENGTH]>::try_from(proof) else { return false };
    sha1(&[&xor(proof, &sha1(&[nonce, stored]))]) == *stored
}

#[cfg(test)]
mod tests {
    use super::{proof, proves, stored};
    use crate::control::hex;

    /// `SELECT PASSWORD('mypass')` in MySQL's manual ("Password Hashing in MySQL").
    #[test]
    fn a_password_is_kept_as_mysql_keeps_it() {
        assert_eq!(hex(&stored("mypass")), "6c8989366eaf75bb670ad8ea7a7fc1176a95cef4");
    }

    #[test]
    fn only_the_password_answers_and_only_its_own_nonce() {
        let nonce = *b"abcdefghijklmnopqrst";
        let answer = proof("mypass", &nonce);
        assert!(proves(&answer, &nonce, &stored("mypass")));
        assert!(!proves(&answer, &nonce, &stored("other")), "another password");
        assert!(!proves(&answer, b"tsrqponmlkjihgfedcba", &stored("mypass")), "another nonce");
        assert!(!proves(&[], &nonce, &stored("mypass")), "no answer");
    }
}
