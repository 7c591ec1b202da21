//! The files of the web pages (Health page and operator's page), which are embedded in this binary.

use std::{collections::BTreeMap, sync::LazyLock};

use rust_embed::RustEmbed;

use crate::static_file::{StaticFile, content_tag};

/// Files of the pages that are in the repository, in the directory `page`.
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

/// Files of the chart library, which `build.rs` fetches from npm. They are empty if that failed.
const VENDOR_FILES: [(&str, &[u8]); 3] = [
    fetched!("uPlot.iife.min.js"),
    fetched!("uPlot.min.css"),
    fetched!("uPlot.LICENSE"),
];

/// Name of the generated script that lists the files of the Health page. The service worker caches
/// these files, so that the page opens without a network.
const FILE_LIST: &str = "files.js";

/// Files that are not in the service worker's list: the operator's page and the service worker
/// itself. The document of the Health page is not in the list of files, because the script names it
/// separately.
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

/// Returns the script that lists the cached files, each with the tag of its content, and that names
/// this build.
///
/// During a rollout, processes of several builds answer requests. If a file has another tag than
/// the list, the file belongs to another build.
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

/// Files that only the operator's page uses. If there is an operations address, the public address
/// does not serve these files.
const OPERATOR_FILES: [&str; 2] = ["admin.html", "admin.js"];

/// Content security policy of all files of the pages. The pages may load files only from their own
/// origin, and send requests only to it.
const SAME_ORIGIN_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                        connect-src 'self'; manifest-src 'self'; worker-src 'self'; \
                        base-uri 'none'; form-action 'none'";
/// Addition to the content security policy of HTML documents. It prevents their scripts from
/// creating markup or other scripts from text.
const TRUSTED_TYPES: &str = "require-trusted-types-for 'script'; trusted-types own-scripts";

/// The web pages, with their security headers.
#[derive(Debug)]
pub(crate) struct WebPages {
    /// Origins that may show the Health page in a frame, separated by spaces; `None` if no origin
    /// may.
    framed_by: Option<String>,
}

/// Security headers of one file of the pages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PageHeaders {
    /// Value of the header `Content-Security-Policy`.
    pub(crate) policy: String,
    pub(crate) may_be_framed: bool,
}

impl WebPages {
    /// Creates the pages. `origins` are the web apps that may send requests from a browser; they
    /// may also show the Health page in a frame.
    ///
    /// The element `*` allows no origin to show the page in a frame.
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

    /// Returns the security headers of the file `name`. Only the Health page may be shown in a
    /// frame.
    ///
    /// A foreign page could otherwise show the operator's page in a frame and trick the operator
    /// into pressing its buttons.
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

    /// Returns whether only the operator's page uses the file `name`.
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
