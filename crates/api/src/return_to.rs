use url::Url;

use crate::problem::Problem;

/// Where a connect may send a member back to.
#[derive(Debug)]
pub(crate) struct ReturnUrls(Vec<Url>);

impl ReturnUrls {
    pub(crate) const fn new(allowed: Vec<Url>) -> Self {
        Self(allowed)
    }

    /// The address, if an allowed one is its prefix.
    ///
    /// Compared part by part after parsing: as text, `https://app.example` is
    /// also a prefix of `https://app.example.evil/`.
    pub(crate) fn check(&self, text: &str) -> Result<Url, Problem> {
        let refused = || {
            Problem::invalid(
                "return-to-not-allowed",
                "return_to",
                "this address is not below one of APP_RETURN_URLS".to_owned(),
            )
        };
        let url = Url::parse(text).map_err(|_| {
            Problem::invalid(
                "return-to-not-allowed",
                "return_to",
                "this is no absolute URL".to_owned(),
            )
        })?;
        if text.len() > 2000 || !url.username().is_empty() || url.password().is_some() {
            return Err(refused());
        }
        self.0
            .iter()
            .any(|allowed| is_below(allowed, &url))
            .then_some(url)
            .ok_or_else(refused)
    }
}

fn is_below(allowed: &Url, url: &Url) -> bool {
    let same_place = allowed.scheme() == url.scheme()
        && allowed.host_str() == url.host_str()
        && allowed.port_or_known_default() == url.port_or_known_default();
    let (prefix, path) = (allowed.path().trim_end_matches('/'), url.path());
    same_place
        && path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The address with one more query parameter.
pub(crate) fn with_parameter(return_to: &str, name: &str, value: &str) -> Option<String> {
    let mut url = Url::parse(return_to).ok()?;
    url.query_pairs_mut().append_pair(name, value);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_below_an_allowed_one_pass() {
        let urls = ReturnUrls::new(vec![
            "hos://whoop".parse().unwrap(),
            "https://app.example/whoop/".parse().unwrap(),
        ]);

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
            "/whoop/",
            "",
        ] {
            assert!(urls.check(bad).is_err(), "{bad}");
        }
    }
}
