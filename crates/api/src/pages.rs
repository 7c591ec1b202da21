//! The pages' files, which are part of this binary.

use std::{collections::BTreeMap, sync::LazyLock};

use rust_embed::RustEmbed;

use crate::static_file::{StaticFile, tag_of};

/// Written here; everything of them is in the repository.
#[derive(RustEmbed)]
#[folder = "page"]
struct Own;

macro_rules! fetched {
    ($name:literal) => {
        (
            concat!("vendor/", $name),
            include_bytes!(concat!(env!("OUT_DIR"), "/vendor/", $name)).as_slice(),
        )
    };
}

/// The chart library, by `build.rs` from npm; empty where that could not be had.
const VENDOR: [(&str, &[u8]); 3] = [
    fetched!("uPlot.iife.min.js"),
    fetched!("uPlot.min.css"),
    fetched!("uPlot.LICENSE"),
];

/// What the service worker keeps to open the page without a network.
const LIST: &str = "files.js";

/// Not of the Health page, and not to be kept.
const NOT_KEPT: [&str; 4] = ["index.html", "admin.html", "admin.js", "sw.js"];

static FILES: LazyLock<BTreeMap<String, StaticFile>> = LazyLock::new(|| {
    let own =
        Own::iter().filter_map(|name| Some((name.to_string(), Own::get(&name)?.data.into_owned())));
    let vendor = VENDOR
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
    let list = list_of(&files);
    files.insert(LIST.to_owned(), StaticFile::new(LIST, list.into_bytes()));
    files
});

/// The files by their tags, and a name for this build of them: while several builds
/// answer, as in a rollout, a file of another one is told by its tag.
fn list_of(files: &BTreeMap<String, StaticFile>) -> String {
    let build = tag_of(files.values().map(|file| file.tag.as_bytes()));
    let kept: BTreeMap<String, &str> = files
        .iter()
        .filter(|(name, _)| !NOT_KEPT.contains(&name.as_str()) && !name.ends_with("LICENSE"))
        .map(|(name, file)| (format!("/page/{name}"), file.tag.as_str()))
        .collect();
    let shell = files.get("index.html").map(|file| file.tag.as_str());
    let page = serde_json::json!({ "build": build, "shell": shell, "files": kept });
    format!("self.PAGE = {page};\n")
}

/// The pages, and who may show them in a frame.
#[derive(Debug)]
pub(crate) struct Pages {
    policy: String,
}

impl Pages {
    /// `origins` are those of web apps that may ask from a browser: they may show the
    /// page in a frame, too. Any at all may not.
    pub(crate) fn new(origins: &[String]) -> Self {
        let named: Vec<&str> = origins
            .iter()
            .map(|origin| origin.trim_end_matches('/'))
            .filter(|origin| *origin != "*")
            .collect();
        let frames = if named.is_empty() {
            "'none'".to_owned()
        } else {
            named.join(" ")
        };
        Self {
            policy: format!(
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                 connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; \
                 form-action 'none'; frame-ancestors {frames}"
            ),
        }
    }

    pub(crate) fn policy(&self) -> &str {
        &self.policy
    }

    pub(crate) fn file(&self, name: &str) -> Option<&'static StaticFile> {
        FILES.get(name)
    }
}
