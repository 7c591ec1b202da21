//! Parsing of settings that are comma-separated lists.

use crate::start_error::ApiStartError;

/// Maximum number of elements in the list of one setting.
const MAX_ELEMENTS: usize = 100;

/// A setting that is a list. Its name and the example are shown in error messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListSetting {
    pub(super) name: &'static str,
    pub(super) example: &'static str,
}

impl ListSetting {
    pub(super) const fn unusable(self, reason: &'static str) -> ApiStartError {
        ApiStartError::InvalidList {
            name: self.name,
            reason,
            example: self.example,
        }
    }

    /// Splits the value of the setting at its commas. Returns an empty list for an empty text.
    pub(super) fn parse_list(self, text: &str) -> Result<Vec<String>, ApiStartError> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let elements: Vec<String> = text.split(',').map(str::to_owned).collect();
        if elements.iter().any(String::is_empty) {
            return Err(self.unusable("an element is empty"));
        }
        let is_refused = |letter: char| letter.is_whitespace() || letter.is_control();
        if elements.iter().any(|element| element.contains(is_refused)) {
            return Err(self.unusable("an element contains white space or a control character"));
        }
        if elements.len() > MAX_ELEMENTS {
            return Err(self.unusable("it has more than 100 elements"));
        }
        Ok(elements)
    }

    /// Splits the value of a setting that accepts any value if it is empty or only `*`. Returns
    /// `None` in these two cases.
    pub(super) fn parse_list_or_any(
        self,
        text: &str,
    ) -> Result<Option<Vec<String>>, ApiStartError> {
        let elements = self.parse_list(text)?;
        match elements.as_slice() {
            [] => Ok(None),
            [only] if only == "*" => Ok(None),
            values if values.iter().any(|element| element == "*") => {
                Err(self.unusable("`*` accepts any value and cannot be combined with other values"))
            }
            _ => Ok(Some(elements)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTING: ListSetting = ListSetting {
        name: "AUTH_JWT_AUDIENCE",
        example: "authenticated,mobile",
    };

    #[test]
    fn a_list_is_split_at_its_commas() {
        assert_eq!(SETTING.parse_list("a,b").unwrap(), ["a", "b"]);
        assert_eq!(SETTING.parse_list("").unwrap(), [""; 0]);
        assert_eq!(
            SETTING.parse_list_or_any("https://a.example/").unwrap(),
            Some(vec!["https://a.example/".to_owned()])
        );
        assert_eq!(SETTING.parse_list_or_any("*").unwrap(), None);
    }

    #[test]
    fn a_list_with_an_empty_element_or_a_blank_is_refused_with_an_example() {
        let long = vec!["a"; 101].join(",");
        for bad in [
            ",", "a,", ",a", "a,,b", " ", "a, b", "a b", "a\u{0}", "*,a", &long,
        ] {
            let error = SETTING.parse_list_or_any(bad).unwrap_err().to_string();
            assert!(error.contains("AUTH_JWT_AUDIENCE"), "{error}");
            assert!(error.contains("authenticated,mobile"), "{error}");
        }
    }
}
