use std::fmt;

/// A missing or unusable setting, with a message for the operator. The message contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingFault {
    name: String,
    message: String,
}

impl SettingFault {
    pub fn missing(name: &str, what_to_do: &str) -> Self {
        Self {
            name: name.to_owned(),
            message: format!("{name} is not set; {what_to_do}"),
        }
    }

    /// Creates the fault of a setting with an unusable value. `reason` should end with an example
    /// of a valid value.
    pub fn unusable(name: &str, reason: &str) -> Self {
        let message = if reason.starts_with(name) {
            reason.to_owned()
        } else {
            format!("{name} is not usable: {reason}")
        };
        Self {
            name: name.to_owned(),
            message,
        }
    }

    /// Returns the name of the setting's environment variable.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for SettingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// All settings that prevent a program from starting, with at most one fault per setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingFaults(Vec<SettingFault>);

impl SettingFaults {
    /// Adds a fault, unless the setting already has one. For example, a variable that could not be
    /// read is not also reported as missing.
    pub fn add(&mut self, fault: SettingFault) {
        if !self.has(fault.name()) {
            self.0.push(fault);
        }
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|fault| fault.name() == name)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &SettingFault> {
        self.0.iter()
    }

    /// Removes the fault of the setting with this name.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|fault| fault.name() != name);
    }

    pub(super) fn retain_names(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|fault| is_kept(fault.name()));
    }
}

impl Extend<SettingFault> for SettingFaults {
    fn extend<T: IntoIterator<Item = SettingFault>>(&mut self, faults: T) {
        for fault in faults {
            self.add(fault);
        }
    }
}

impl fmt::Display for SettingFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [fault] => fault.fmt(f),
            faults => {
                write!(f, "{} settings are missing or not usable:", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl std::error::Error for SettingFaults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_faults_are_listed_in_one_message_line_by_line() {
        let mut faults = SettingFaults::default();
        faults.add(SettingFault::unusable(
            "A",
            "it is not a number; example: A=7",
        ));
        assert_eq!(
            faults.to_string(),
            "A is not usable: it is not a number; example: A=7"
        );

        faults.add(SettingFault::missing("A", "example: A=7"));
        faults.add(SettingFault::missing("B", "example: B=8"));

        assert_eq!(
            faults.to_string(),
            "2 settings are missing or not usable:\n  A is not usable: it is not a number; \
             example: A=7\n  B is not set; example: B=8"
        );
    }
}
