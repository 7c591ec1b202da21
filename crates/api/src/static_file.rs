//! A file of a web page, which is embedded in this binary and compressed only once.

use std::io::Write as _;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, AcceptEncoding, Encoding, EntityTag, Header},
    web::Bytes,
};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

use crate::json;

/// Minimum size in bytes of a file that is compressed. For a smaller file, the header of the
/// compressed data costs more than compression saves.
const MIN_COMPRESSED: usize = 500;

#[derive(Debug)]
pub(crate) struct StaticFile {
    content_type: String,
    bytes: Bytes,
    /// Compressed content; `None` if compression does not make the file smaller.
    gzip: Option<Bytes>,
    /// Beginning of the SHA-256 digest of the content. It identifies the version of the file.
    pub(crate) tag: String,
}

impl StaticFile {
    /// Returns a file with this content, and compresses it. The content type follows from the
    /// extension in `name`.
    pub(crate) fn new(name: &str, content: Vec<u8>) -> Self {
        let content_type = mime_guess::from_path(name).first_or_octet_stream();
        let is_text = content_type.type_() == mime_guess::mime::TEXT || name.ends_with(".svg");
        let content_type = match name.rsplit('.').next() {
            Some("webmanifest") => "application/manifest+json".to_owned(),
            _ if is_text => format!("{content_type}; charset=utf-8"),
            _ => content_type.to_string(),
        };
        Self {
            content_type,
            tag: content_tag([content.as_slice()]),
            gzip: compressed(&content).filter(|gzip| gzip.len() < content.len()),
            bytes: content.into(),
        }
    }

    /// Returns a response with the file, or 304 if the caller already has this version.
    ///
    /// A cache must revalidate the file before each use, because another build of the service may
    /// have another version.
    pub(crate) fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let tag = EntityTag::new_weak(self.tag.clone());
        let is_known = json::matches_etag(request, &tag);
        let mut response = if is_known {
            HttpResponse::NotModified()
        } else {
            HttpResponse::Ok()
        };
        response
            .insert_header(header::ETag(tag))
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .insert_header((header::VARY, "Accept-Encoding"))
            .content_type(self.content_type.clone());
        if is_known {
            return response.finish();
        }
        match &self.gzip {
            Some(gzip) if accepts_gzip(request) => {
                response.insert_header((header::CONTENT_ENCODING, "gzip"));
                response.body(gzip.clone())
            }
            _ => response.body(self.bytes.clone()),
        }
    }
}

/// Returns a short digest of the parts. It changes if any byte of a part changes.
pub(crate) fn content_tag<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let digest = hasher.finalize();
    digest
        .iter()
        .take(12)
        .fold(String::new(), |mut text, byte| {
            let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        })
}

fn compressed(content: &[u8]) -> Option<Bytes> {
    if content.len() < MIN_COMPRESSED {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

fn accepts_gzip(request: &HttpRequest) -> bool {
    AcceptEncoding::parse(request).is_ok_and(|accepted| {
        let both = [Encoding::gzip(), Encoding::identity()];
        accepted.negotiate(both.iter()) == Some(Encoding::gzip())
    })
}
