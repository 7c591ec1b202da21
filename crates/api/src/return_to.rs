use std::sync::LazyLock;

use url::{Position, Url};

use crate::problem::Problem;

/// Addresses to which the browser may be redirected after connecting WHOOP (`return_to`).
#[derive(Debug)]
pub(crate) struct ReturnUrls {
    allowed: Vec<Url>,
    /// Public address of this server; `None` if `API_PUBLIC_URL` is not set.
    public_url: Option<Url>,
}

/// Base address with which a path of this server is parsed as a URL. It is never part of a result.
static PLACEHOLDER_URL: LazyLock<Url> =
    LazyLock::new(|| Url::parse("http://placeholder.invalid").expect("a literal URL parses"));

/// Schemes of addresses with which a browser would run code or read local files.
const FORBIDDEN_SCHEMES: [&str; 7] = [
    "about",
    "blob",
    "data",
    "file",
    "filesystem",
    "javascript",
    "vbscript",
];

/// Parses one element of `APP_RETURN_URLS`: an address with an app's own scheme, or a web address.
///
/// # Errors
///
/// Returns the reason with an example if the browser could not return to an app with this address.
pub(crate) fn parse_return_url(text: &str) -> Result<Url, String> {
    let with_example = |reason: &str| {
        format!("{reason}; example: APP_RETURN_URLS=hos://whoop,https://app.example/")
    };
    let url = Url::parse(text)
        .map_err(|error| with_example(&format!("an address is not a full URL ({error})")))?;
    let reason = if FORBIDDEN_SCHEMES.contains(&url.scheme()) || url.cannot_be_a_base() {
        "an address has a scheme that cannot open an app"
    } else if !url.username().is_empty() || url.password().is_some() {
        "an address contains a user name or a password"
    } else if url.host_str().is_some_and(|host| host.contains('*')) {
        "an address has a wildcard, which matches nothing; list every host"
    } else if url.query().is_some() || url.fragment().is_some() {
        "an address has a query or a fragment, but only the part before is compared"
    } else {
        return Ok(url);
    };
    Err(with_example(reason))
}

impl ReturnUrls {
    pub(crate) const fn new(allowed: Vec<Url>, public: Option<Url>) -> Self {
        Self {
            allowed,
            public_url: public,
        }
    }

    /// Checks the address `return_to` of a caller, and returns it without its fragment.
    ///
    /// The address must be below one of the allowed addresses, or be a path of this server. The
    /// addresses are compared part by part after parsing: as text, `https://app.example` is also a
    /// prefix of `https://app.example.evil/`.
    pub(crate) fn check(&self, text: &str) -> Result<String, Problem> {
        let invalid = |reason: &str| Problem::invalid("return-to-not-allowed", "return_to", reason);
        let refused = || invalid("this address is not below any address in APP_RETURN_URLS");
        if text.len() > 2000 {
            return Err(refused());
        }
        if text.starts_with('/') {
            let path = path_on_this_server(text).ok_or_else(refused)?;
            // If the public address is not set, the path is enough: the browser resolves the path
            // against the address of the callback, to which WHOOP redirects the browser first.
            return Ok(match &self.public_url {
                Some(public) => public.join(&path).map_err(|_| refused())?.into(),
                None => path,
            });
        }
        let mut url = Url::parse(text)
            .map_err(|_| invalid("this is neither an absolute URL nor a path of this server"))?;
        // The fragment is removed, because a page may read credentials from it. The caller who
        // began to connect WHOOP has chosen this fragment, and another person may use the browser.
        url.set_fragment(None);
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused());
        }
        self.allowed
            .iter()
            .any(|allowed| is_below(allowed, &url))
            .then(|| url.into())
            .ok_or_else(refused)
    }
}

/// Returns the path and the query of `text`. Returns `None` if a browser would read the name of
/// another host in it, as in `//evil.test` and `/\evil.test`.
fn path_on_this_server(text: &str) -> Option<String> {
    let url = PLACEHOLDER_URL.join(text).ok()?;
    let is_on_this_server = url.origin() == PLACEHOLDER_URL.origin();
    let path = url[Position::BeforePath..Position::AfterQuery].to_owned();
    (is_on_this_server && !path.starts_with("//")).then_some(path)
}

fn is_below(allowed: &Url, url: &Url) -> bool {
    let has_same_origin = allowed.scheme() == url.scheme()
        && allowed.host_str() == url.host_str()
        && allowed.port_or_known_default() == url.port_or_known_default();
    let (prefix, path) = (allowed.path().trim_end_matches('/'), url.path());
    has_same_origin
        && path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the address with one more query parameter, and without a fragment. Returns `None` if the
/// address cannot be parsed.
pub(crate) fn with_parameter(return_to: &str, name: &str, value: &str) -> Option<String> {
    let is_path = return_to.starts_with('/');
    let mut url = if is_path {
        PLACEHOLDER_URL.join(return_to).ok()?
    } else {
        Url::parse(return_to).ok()?
    };
    // An earlier version of this service stored addresses with a fragment.
    url.set_fragment(None);
    url.query_pairs_mut().append_pair(name, value);
    Some(if is_path {
        url[Position::BeforePath..].to_owned()
    } else {
        url.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_below_an_allowed_one_pass() {
        let allowed = vec![
            "hos://whoop".parse().unwrap(),
            "https://app.example/whoop/".parse().unwrap(),
        ];
        let urls = ReturnUrls::new(allowed, None);

        for good in [
            "hos://whoop",
            "hos://whoop/done?x=1",
            "https://app.example/whoop",
            "https://app.example/whoop/a",
        ] {
            assert!(urls.check(good).is_ok(), "{good}");
        }
        for bad in [
            "hos://whoop.evil",
            "https://app.example.evil/whoop/",
            "https://app.example/whoopee",
            "https://app.example/whoop/../admin",
            "https://app.example:444/whoop/",
            "http://app.example/whoop/",
            "https://user@app.example/whoop/",
            "https://app.example@evil.test/whoop/",
            "javascript:alert(1)",
            "whoop/",
            "//evil.test",
            "//evil.test/whoop",
            "/\\evil.test",
            "/\t/evil.test",
            "/.//evil.test",
            "",
        ] {
            assert!(urls.check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_that_cannot_open_an_app_is_refused_at_start() {
        for good in [
            "hos://whoop",
            "com.example.app:/callback",
            "myapp:///whoop",
            "https://app.example/whoop/",
            "http://localhost:3000",
        ] {
            assert!(parse_return_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "app",
            "app.example/whoop",
            "javascript:alert(1)",
            "mailto:someone",
            "data:text/html,x",
            "file:///etc/passwd",
            "https://*.app.example",
            "https://user:pw@app.example",
            "https://app.example/?x=1",
            "https://app.example/#x",
        ] {
            let refusal = parse_return_url(bad).unwrap_err();
            assert!(refusal.contains("hos://whoop"), "{bad}: {refusal}");
        }
    }

    #[test]
    fn a_page_of_this_server_may_be_given_as_a_path() {
        let without_public_url = ReturnUrls::new(Vec::new(), None);
        let public = "https://health.example".parse().unwrap();
        let with_public_url = ReturnUrls::new(Vec::new(), Some(public));

        assert_eq!(without_public_url.check("/").unwrap(), "/");
        assert_eq!(
            without_public_url.check("/?date=2026-01-31#x").unwrap(),
            "/?date=2026-01-31"
        );
        assert_eq!(
            with_public_url.check("/").unwrap(),
            "https://health.example/"
        );
        assert_eq!(
            with_parameter("/", "status", "connected").unwrap(),
            "/?status=connected"
        );
        for stored in ["hos://whoop/x?y=1#token=z", "/x?y=1#token=z"] {
            let address = with_parameter(stored, "status", "connected").unwrap();
            assert!(address.ends_with("/x?y=1&status=connected"), "{address}");
        }
    }
}
