//! Computes how many connections and event streams the process can have with its limit of open
//! files.

/// Maximum number of event streams that are open in this process at the same time. A low limit of
/// open files reduces this number.
const MAX_STREAMS: usize = 4000;

/// Maximum number of callers' connections of one worker thread: the default of actix-web. A low
/// limit of open files reduces this number.
const MAX_CONNECTIONS_PER_WORKER: usize = 25_600;

/// Maximum number of connections to the operations address at the same time.
pub(crate) const OPERATIONS_CONNECTIONS: usize = 64;

/// Number of open files that are reserved for the process itself: standard streams, listening
/// sockets, requests to WHOOP and to the issuer, certificates.
const RESERVED_FILES: usize = 64;

/// Number of open files that the event loop of one worker thread needs.
const FILES_PER_WORKER: usize = 4;

/// Maximum numbers of connections and event streams, which follow from the process's limit of open
/// files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionCapacity {
    /// Soft limit of open files of the process; `None` if it is unlimited.
    pub(crate) open_files: Option<u64>,
    /// Number of open files that are not available for callers' connections to the public address,
    /// because they are reserved for the database pool, event loops, requests to WHOOP and the
    /// operations address.
    pub(crate) reserved: usize,
    /// Maximum number of connections that one worker thread of the public address accepts.
    pub(crate) connections_per_worker: usize,
    /// Maximum number of open event streams. It is at most three quarters of all connections, so
    /// that other requests still find a free connection.
    pub(crate) max_streams: usize,
    workers: usize,
}

impl ConnectionCapacity {
    /// Subtracts the reserved files from `open_files`, and divides the remaining files among the
    /// connections of `workers` worker threads.
    ///
    /// The reserved files include a database pool of `database_connections`.
    pub(crate) fn new(
        open_files: Option<u64>,
        workers: usize,
        database_connections: usize,
    ) -> Self {
        let workers = workers.max(1);
        let reserved = RESERVED_FILES
            + FILES_PER_WORKER * (workers + 1)
            + database_connections
            + OPERATIONS_CONNECTIONS;
        let limit = open_files.map_or(usize::MAX, |files| {
            usize::try_from(files).unwrap_or(usize::MAX)
        });
        let connections_per_worker =
            (limit.saturating_sub(reserved) / workers).clamp(1, MAX_CONNECTIONS_PER_WORKER);
        let max_streams = (connections_per_worker * workers * 3 / 4).clamp(1, MAX_STREAMS);
        Self {
            open_files,
            reserved,
            connections_per_worker,
            max_streams,
            workers,
        }
    }

    /// Returns the maximum number of connections of all worker threads of the public address
    /// together.
    pub(crate) const fn max_connections(&self) -> usize {
        self.connections_per_worker * self.workers
    }

    /// Returns whether the limit of open files allows [`MAX_STREAMS`] event streams.
    pub(crate) const fn carries_all_streams(&self) -> bool {
        self.max_streams >= MAX_STREAMS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_reserve_stay_within_the_limit() {
        for limit in [256_u64, 1024, 4096, 65_536, 1_048_576] {
            let capacity = ConnectionCapacity::new(Some(limit), 4, 8);
            let files = u64::try_from(capacity.max_connections() + capacity.reserved).unwrap();
            assert!(files <= limit, "{capacity:?}");
            assert!(
                capacity.max_streams < capacity.max_connections(),
                "{capacity:?}"
            );
        }
    }

    #[test]
    fn a_usual_soft_limit_allows_fewer_streams_than_a_raised_one() {
        let usual = ConnectionCapacity::new(Some(1024), 2, 8);
        let raised = ConnectionCapacity::new(Some(65_536), 2, 8);

        assert!(usual.max_streams < 700 && !usual.carries_all_streams());
        assert!(raised.max_streams == 4000 && raised.carries_all_streams());
    }

    #[test]
    fn a_limit_below_the_reserve_still_allows_one_connection_per_worker() {
        let capacity = ConnectionCapacity::new(Some(20), 2, 8);

        assert_eq!(capacity.max_connections(), 2);
        assert_eq!(capacity.max_streams, 1);
    }

    #[test]
    fn without_a_limit_the_default_maximum_applies() {
        let capacity = ConnectionCapacity::new(None, 2, 8);

        assert_eq!(capacity.connections_per_worker, 25_600);
        assert_eq!(capacity.max_streams, 4000);
    }
}
