use std::{fmt, process::ExitCode};

/// Results of all rounds so far.
#[derive(Debug, Default)]
pub(crate) struct TokenTally {
    pub(crate) kills: u32,
    pub(crate) refreshes: u32,
    pub(crate) answers: u32,
    /// Number of requests without a response because the process that handled them was killed.
    pub(crate) cut_off: u32,
    /// Number of members who lost the connection because of a kill, and to whom the API reports
    /// this reason.
    ///
    /// The process died after WHOOP had sent the new tokens and before they were committed, so the
    /// member has to connect again.
    pub(crate) stranded_and_informed: u32,
    /// Descriptions of results that must not occur.
    pub(crate) defects: Vec<String>,
}

impl TokenTally {
    pub(crate) fn print_result(&self) -> ExitCode {
        for defect in &self.defects {
            println!("DEFECT  {defect}");
        }
        if self.defects.is_empty() {
            println!("every member is connected or was informed of the reason");
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

impl fmt::Display for TokenTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} killed, {} refreshes, {} responses, {} requests without a response, \
             {} members disconnected by a kill and informed, {} defects",
            self.kills,
            self.refreshes,
            self.answers,
            self.cut_off,
            self.stranded_and_informed,
            self.defects.len()
        )
    }
}
