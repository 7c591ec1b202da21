//! The pages' files, which are part of this binary.

use std::{collections::BTreeMap, sync::LazyLock};

use rust_embed::RustEmbed;

use crate::static_file::{StaticFile, content_tag};

/// Written here; everything of them is in the repository.
#[derive(RustEmbed)]
#[folder = "page"]
struct OwnFiles;

macro_rules! fetched {
    ($name:literal) => {
        (
            concat!("vendor/", $name),
            include_bytes!(concat!(env!("OUT_DIR"), "/vendor/", $name)).as_slice(),
        )
    };
}

/// The chart library, by `build.rs` from npm; empty where that could not be had.
const VENDOR_FILES: [(&str, &[u8]); 3] = [
    fetched!("uPlot.iife.min.js"),
    fetched!("uPlot.min.css"),
    fetched!("uPlot.LICENSE"),
];

/// What the service worker keeps to open the page without a network.
const FILE_LIST: &str = "files.js";

/// Not of the Health page, and not to be kept.
const NOT_CACHED: [&str; 4] = ["index.html", "admin.html", "admin.js", "sw.js"];

static FILES: LazyLock<BTreeMap<String, StaticFile>> = LazyLock::new(|| {
    let own = OwnFiles::iter()
        .filter_map(|name| Some((name.to_string(), OwnFiles::get(&name)?.data.into_owned())));
    let vendor = VENDOR_FILES
        .iter()
        .filter(|(_, content)| !content.is_empty())
        .map(|(name, content)| ((*name).to_owned(), content.to_vec()));
    let mut files: BTreeMap<String, StaticFile> = own
        .chain(vendor)
        .map(|(name, content)| {
            let file = StaticFile::new(&name, content);
            (name, file)
        })
        .collect();
    let list = file_list_script(&files);
    files.insert(
        FILE_LIST.to_owned(),
        StaticFile::new(FILE_LIST, list.into_bytes()),
    );
    files
});

/// The files by their tags, and a name for this build of them: while several builds
/// answer, as in a rollout, a file of another one is told by its tag.
fn file_list_script(files: &BTreeMap<String, StaticFile>) -> String {
    let build = content_tag(files.values().map(|file| file.tag.as_bytes()));
    let kept: BTreeMap<String, &str> = files
        .iter()
        .filter(|(name, _)| !NOT_CACHED.contains(&name.as_str()) && !name.ends_with("LICENSE"))
        .map(|(name, file)| (format!("/page/{name}"), file.tag.as_str()))
        .collect();
    let shell = files.get("index.html").map(|file| file.tag.as_str());
    let page = serde_json::json!({ "build": build, "shell": shell, "files": kept });
    format!("self.PAGE = {page};\n")
}

/// Files of the operator's page, which the public address does not serve if there is an
/// operations address.
const OPERATOR_FILES: [&str; 2] = ["admin.html", "admin.js"];

/// What a file of the pages may load. A document is the only one whose scripts could make
/// markup or scripts out of a text.
const SAME_ORIGIN_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                        connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
                        base-uri 'none'; form-action 'none'";
const TRUSTED_TYPES: &str = "require-trusted-types-for 'script'; trusted-types own-scripts";

/// The pages, and which origins may show the Health page in a frame.
#[derive(Debug)]
pub(crate) struct WebPages {
    /// `None` if no page may be framed.
    framed_by: Option<String>,
}

/// Headers that tell a browser how to treat a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PageHeaders {
    /// The `Content-Security-Policy`.
    pub(crate) policy: String,
    pub(crate) may_be_framed: bool,
}

impl WebPages {
    /// `origins` are those of web apps that may ask from a browser: they may show the
    /// Health page in a frame, too. With `*` no further origin may.
    pub(crate) fn new(origins: &[String]) -> Self {
        let named: Vec<&str> = origins
            .iter()
            .map(|origin| origin.trim_end_matches('/'))
            .filter(|origin| *origin != "*" && !origin.is_empty())
            .collect();
        Self {
            framed_by: (!named.is_empty()).then(|| named.join(" ")),
        }
    }

    /// The rules for the file of this name. The Health page alone may be framed: a frame
    /// around the operator's page could make its reader press its buttons.
    pub(crate) fn headers_for(&self, name: &str) -> PageHeaders {
        let frames = match name {
            "index.html" => self.framed_by.as_deref(),
            _ => None,
        };
        let types = match name.ends_with(".html") {
            true => format!("{TRUSTED_TYPES}; "),
            false => String::new(),
        };
        PageHeaders {
            policy: format!(
                "{SAME_ORIGIN_POLICY}; {types}frame-ancestors {}",
                frames.unwrap_or("'none'")
            ),
            may_be_framed: frames.is_some(),
        }
    }

    pub(crate) fn file(name: &str) -> Option<&'static StaticFile> {
        FILES.get(name)
    }

    /// Whether the file belongs to the operator's page alone.
    pub(crate) fn is_operator_file(name: &str) -> bool {
        OPERATOR_FILES.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_origin_may_frame_another_page_than_the_health_page() {
        let pages = WebPages::new(&["https://app.example/".to_owned(), "*".to_owned()]);

        let health = pages.headers_for("index.html");
        assert!(health.may_be_framed);
        assert!(
            health
                .policy
                .ends_with("frame-ancestors https://app.example")
        );
        for name in ["admin.html", "admin.js", "sw.js", "health.js"] {
            let rules = pages.headers_for(name);
            assert!(!rules.may_be_framed, "{name}");
            assert!(rules.policy.ends_with("frame-ancestors 'none'"), "{name}");
        }
    }
}
