//! Reads secrets from files, as Docker, Kubernetes and systemd provide them.

use std::{fs::File, io::Read, path::Path};

/// Maximum size of a secret file, in bytes. Even a list of hundreds of keys is smaller.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Reads a secret from a file. Removes the newline that editors and `echo` add at the end.
///
/// # Errors
///
/// The reason for which the file is refused, with its path but without its content.
pub(super) fn read_secret(path: &Path) -> Result<String, String> {
    let path_text = path.display();
    let unreadable = |error: std::io::Error| {
        format!(
            "the file {path_text} cannot be read ({error}); use a file that this process can read"
        )
    };
    let mut bytes = Vec::new();
    // The read includes one byte more than the limit, to notice a file that is too large.
    File::open(path)
        .map_err(unreadable)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!(
            "the file {path_text} has more than {MAX_FILE_BYTES} bytes; use a file that contains \
             only the secret"
        ));
    }
    let mut text = String::from_utf8(bytes).map_err(|_not_utf8| {
        format!("the file {path_text} is not UTF-8 text; use a file that contains only the secret")
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(format!(
            "the file {path_text} is empty; write the secret into it"
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    /// A secret file in the temporary folder. Dropping this value removes the file.
    struct TempSecretFile(PathBuf);

    impl TempSecretFile {
        fn new(content: &[u8]) -> Self {
            let path = std::env::temp_dir().join(format!("whoop-secret-{}", uuid::Uuid::new_v4()));
            fs::write(&path, content).unwrap();
            Self(path)
        }
    }

    impl Drop for TempSecretFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn read_back(content: &[u8]) -> Result<String, String> {
        read_secret(&TempSecretFile::new(content).0)
    }

    #[test]
    fn only_one_newline_at_the_end_is_removed() {
        assert_eq!(read_back(b"hush").unwrap(), "hush");
        assert_eq!(read_back(b"hush\n").unwrap(), "hush");
        assert_eq!(read_back(b"hush\r\n").unwrap(), "hush");
        assert_eq!(read_back(b" hush \n\n").unwrap(), " hush \n");
    }

    #[test]
    fn the_refusal_of_an_unusable_file_does_not_show_its_content() {
        let large = vec![b'h'; 64 * 1024 + 1];
        for (content, reason) in [
            (&b""[..], "is empty"),
            (&b"\n"[..], "is empty"),
            (&b"hush\xff"[..], "UTF-8"),
            (&large[..], "more than 65536 bytes"),
        ] {
            let message = read_back(content).unwrap_err();

            assert!(message.contains(reason), "{message}");
            assert!(
                !message.contains("hush") && !message.contains("hhhh"),
                "{message}"
            );
        }
        let missing = read_secret(Path::new("/nowhere/secret")).unwrap_err();
        assert!(missing.contains("/nowhere/secret"), "{missing}");
        let folder = read_secret(&std::env::temp_dir()).unwrap_err();
        assert!(folder.contains("cannot be read"), "{folder}");
    }
}
