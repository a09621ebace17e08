//! An archive of which the same files make the same bytes: sorted, and without the times, owners and rights of this machine.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// Files with their paths in `folder`, as a `.tar.gz`.
pub(super) fn packed(folder: &str, files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, String> {
    let mut files: Vec<(String, &[u8])> =
        files.iter().map(|(name, bytes)| (format!("{folder}/{name}"), bytes.as_slice())).collect();
    files.sort_unstable();
    if let Some([(name, _), _]) = files.array_windows().find(|[one, other]| one.0 == other.0) {
        return Err(format!("{name} would be in the archive twice"));
    }
    let told = |error: std::io::Error| format!("the archive: {error}");
    let mut archive = Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        // 1980-01-01, which other formats can hold too.
        header.set_mtime(315_532_800);
        archive.append_data(&mut header, name, bytes).map_err(told)?;
    }
    // The builder names neither a file nor a time, and for the system "unknown" (RFC 1952, section 2.3.1).
    let mut packed = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    packed.write_all(&archive.into_inner().map_err(told)?).map_err(told)?;
    packed.finish().map_err(told)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read};

    use super::*;

    fn file(name: &str, bytes: &[u8]) -> (String, Vec<u8>) {
        (name.to_owned(), bytes.to_vec())
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let (one, other) = (file("build/index.js", b"export {}"), file("LICENSE", b"Apache"));
        let packed_once = packed("x-1", &[one.clone(), other.clone()]).expect("packed");
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let again = packed("x-1", &[other.clone(), one.clone()]).expect("packed");
        assert_eq!(packed_once, again, "a second later, in another order");
        assert_ne!(packed_once, packed("x-1", &[one, file("LICENSE", b"MIT")]).expect("packed"));
        assert!(packed("x-1", &[other.clone(), other]).is_err(), "no file hides another");
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let packed = packed("x-1", &[file("static/index.html", b"<p>"), file("README.md", b"# x")]).expect("packed");
        let mut unpacked = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let mut found = BTreeMap::new();
        for entry in unpacked.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let header = entry.header();
            assert_eq!((header.uid().ok(), header.gid().ok(), header.mode().ok()), (Some(0), Some(0), Some(0o644)));
            let name = entry.path().expect("a path").display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            found.insert(name, text);
        }
        let expected = [("x-1/README.md", "# x"), ("x-1/static/index.html", "<p>")];
        assert_eq!(found, expected.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    }
}
