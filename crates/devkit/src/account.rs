use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::PostgresStartError;

/// Account that runs the PostgreSQL server when this process runs as root.
///
/// PostgreSQL refuses to run as root, but programs in containers often run as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAccount {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl ServerAccount {
    /// Returns the account that has to run the server.
    ///
    /// Returns `None` if this process is not root, because the server then runs as the user of this
    /// process.
    pub(crate) fn detect() -> Result<Option<Self>, PostgresStartError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        choose_account(&passwd)
            .map(Some)
            .ok_or(PostgresStartError::NoAccount)
    }

    pub(crate) fn apply(&self, command: &mut Command) {
        // Setting `uid` also removes root's supplementary groups from the command.
        command.uid(self.uid).gid(self.gid);
    }
}

fn choose_account(passwd: &str) -> Option<ServerAccount> {
    // On macOS, the account of PostgreSQL has the name `_postgres`.
    ["postgres", "_postgres", "nobody"]
        .iter()
        .find_map(|wanted| passwd.lines().find_map(|line| parse_account(line, wanted)))
}

fn parse_account(line: &str, wanted: &str) -> Option<ServerAccount> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| *name == wanted)?;
    let uid = parse_id(fields.nth(1)?)?;
    let gid = parse_id(fields.next()?)?;
    (uid != 0).then(|| ServerAccount {
        name: name.to_owned(),
        uid,
        gid,
    })
}

/// Parses the numeric id of an account. macOS writes the id of `nobody` as -2.
fn parse_id(text: &str) -> Option<u32> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_postgres_is_preferred_to_the_account_nobody() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n\
                      postgres:x:101:104:a,,:/var/lib/postgresql:/bin/bash\n";

        let chosen = choose_account(passwd).unwrap();

        assert_eq!(
            (chosen.name.as_str(), chosen.uid, chosen.gid),
            ("postgres", 101, 104)
        );
    }

    #[test]
    fn a_negative_id_is_converted_to_the_unsigned_id_of_the_kernel() {
        let chosen =
            choose_account("nobody:*:-2:-2:Unprivileged:/var/empty:/usr/bin/false").unwrap();

        assert_eq!((chosen.uid, chosen.gid), (4_294_967_294, 4_294_967_294));
    }

    #[test]
    fn an_account_with_user_id_0_is_not_chosen() {
        assert_eq!(choose_account("postgres:x:0:0::/:/bin/sh"), None);
    }
}
